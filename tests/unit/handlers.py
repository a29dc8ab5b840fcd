"""Command handlers of orders over the store in memory."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

from command_service.command_handler import CommandContext, CommandHandler
from command_service.decider import Decider
from command_service.event_store import Commit, Outcome
from command_service.idempotency import IdempotencyKey
from command_service.memory_store import InMemoryEventStore, InMemorySnapshotStore
from command_service.orders.commands import OrderCommand, PlaceOrder
from command_service.orders.decider import DECIDER, OrderState
from command_service.repository import Repository
from command_service.snapshot_taker import SnapshotTaker
from command_service.snapshots import StateSchema
from command_service.state_cache import StateCache
from shared.event_log.events import StreamId, Version
from shared.orders.events import EVENTS, OrderEvent
from tests.support.events import WHEN

OrderDecider = Decider[OrderCommand, OrderState, OrderEvent]
Handler = CommandHandler[OrderCommand, OrderState, OrderEvent]


PLACE = PlaceOrder.model_validate(
    {"customer_name": "Aiko", "items": [{"product_name": "Tea", "quantity": 1, "unit_price": "1.00"}]}
)


def a_handler(
    store: InMemoryEventStore,
    append: Callable[[Commit], Awaitable[Outcome]] | None = None,
    note_deadline: Callable[[float | None], None] = lambda _: None,
) -> Handler:
    async def append_one(commit: Commit) -> Outcome:
        return (await store.append([commit]))[0]

    def noted(commit: Commit, deadline: float | None) -> Awaitable[Outcome]:
        note_deadline(deadline)
        return (append or append_one)(commit)

    return CommandHandler(DECIDER, a_repository(store), store, noted, lambda: WHEN)


def a_repository(store: InMemoryEventStore, decider: OrderDecider = DECIDER) -> Repository[OrderState, OrderEvent]:
    snapshots = InMemorySnapshotStore(store)
    return Repository(
        decider, EVENTS, StateSchema(OrderState), store, snapshots, SnapshotTaker(snapshots), StateCache(1_000_000)
    )


def an_idle_handler(store: InMemoryEventStore) -> Handler:
    """Make a handler whose rules decide nothing, and which so has nothing to append."""

    async def never(_: Commit, _deadline: float | None) -> Outcome:
        raise AssertionError("there is nothing to append")

    idle: OrderDecider = Decider(OrderState(), lambda _command, _state: (), DECIDER.evolve)
    return CommandHandler(idle, a_repository(store, idle), store, never, lambda: WHEN)


def a_context(key: str | None = None, fingerprint: str = "f", expected: int | None = None) -> CommandContext:
    return CommandContext(
        command_id=str(uuid4()),
        correlation_id="c",
        idempotency_key=IdempotencyKey("", key, fingerprint) if key else None,
        expected_version=None if expected is None else Version(expected),
    )


def an_order() -> StreamId:
    return StreamId("order", uuid4())
