"""The command handler over the store in memory: retries, conditions, idempotency (I6, I7)."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from command_service.command_handler import MAX_ATTEMPTS, CommandContext, CommandHandler
from command_service.errors import ConcurrencyConflict, IdempotencyKeyReused, VersionMismatch
from command_service.event_store import Commit, Conflict, Outcome
from command_service.idempotency import IdempotencyKey
from command_service.memory_store import InMemoryEventStore
from command_service.orders.commands import ConfirmOrder, OrderCommand, PlaceOrder, ShipOrder
from command_service.orders.decider import DECIDER, OrderState
from command_service.orders.errors import InvalidTransition, OrderAlreadyExists, OrderNotFound
from shared.event_log.events import StreamId, Version
from shared.orders.events import EVENTS, OrderEvent
from tests.support.events import WHEN

Handler = CommandHandler[OrderCommand, OrderState, OrderEvent]

PLACE = PlaceOrder.model_validate(
    {"customer_name": "Aiko", "items": [{"product_name": "Tea", "quantity": 1, "unit_price": "1.00"}]}
)


@pytest.fixture
def store() -> InMemoryEventStore:
    return InMemoryEventStore(lambda: WHEN)


@pytest.fixture
def handler(store: InMemoryEventStore) -> Handler:
    return a_handler(store)


def a_handler(store: InMemoryEventStore, append: Callable[[Commit], Awaitable[Outcome]] | None = None) -> Handler:
    async def append_one(commit: Commit) -> Outcome:
        return (await store.append([commit]))[0]

    return CommandHandler(DECIDER, EVENTS, store, append or append_one, lambda: WHEN)


def a_context(key: str | None = None, fingerprint: str = "f", expected: int | None = None) -> CommandContext:
    return CommandContext(
        command_id=str(uuid4()),
        correlation_id="c",
        idempotency_key=IdempotencyKey("", key, fingerprint) if key else None,
        expected_version=None if expected is None else Version(expected),
    )


def an_order() -> StreamId:
    return StreamId("order", uuid4())


async def test_commands_move_an_order_along(handler: Handler) -> None:
    order = an_order()
    placed = await handler.handle(order, PLACE, a_context(), creates=True)
    assert (placed.state.status, placed.version, placed.position) == ("pending", 1, 1)
    confirmed = await handler.handle(order, ConfirmOrder(), a_context())
    assert (confirmed.state.status, confirmed.version, confirmed.position) == ("confirmed", 2, 2)


async def test_an_order_placed_without_looking_is_still_placed_once(
    handler: Handler, store: InMemoryEventStore
) -> None:
    order = an_order()
    await handler.handle(order, PLACE, a_context(), creates=True)
    with pytest.raises(OrderAlreadyExists):
        await handler.handle(order, PLACE, a_context(), creates=True)
    assert await store.head() == 1


async def test_after_a_conflict_it_decides_again_on_what_is_new(handler: Handler, store: InMemoryEventStore) -> None:
    order = an_order()
    await handler.handle(order, PLACE, a_context(), creates=True)
    raced = False

    async def append_after_another_confirmed(commit: Commit) -> Outcome:
        nonlocal raced
        if not raced:
            raced = True
            await handler.handle(order, ConfirmOrder(), a_context())
        return (await store.append([commit]))[0]

    slow = a_handler(store, append_after_another_confirmed)
    with pytest.raises(InvalidTransition) as refused:
        await slow.handle(order, ConfirmOrder(), a_context())
    assert refused.value.status == "confirmed"
    assert await store.head() == 2


async def test_retries_are_bounded(store: InMemoryEventStore, handler: Handler) -> None:
    order, attempts = an_order(), 0
    await handler.handle(order, PLACE, a_context(), creates=True)

    async def always_late(_: Commit) -> Outcome:
        nonlocal attempts
        attempts += 1
        return Conflict(Version(1))

    with pytest.raises(ConcurrencyConflict):
        await a_handler(store, always_late).handle(order, ConfirmOrder(), a_context())
    assert attempts == MAX_ATTEMPTS


async def test_with_an_expected_version_it_never_retries(store: InMemoryEventStore, handler: Handler) -> None:
    order, attempts = an_order(), 0
    await handler.handle(order, PLACE, a_context(), creates=True)

    async def lost_race(_: Commit) -> Outcome:
        nonlocal attempts
        attempts += 1
        await handler.handle(order, ConfirmOrder(), a_context())
        return Conflict(Version(2))

    with pytest.raises(VersionMismatch) as mismatch:
        await a_handler(store, lost_race).handle(order, ConfirmOrder(), a_context(expected=1))
    assert (mismatch.value.current_version, attempts) == (2, 1)


async def test_an_expected_version_comes_before_the_rules_but_not_before_existence(handler: Handler) -> None:
    order = an_order()
    with pytest.raises(OrderNotFound):
        await handler.handle(order, ConfirmOrder(), a_context(expected=3))
    await handler.handle(order, PLACE, a_context(), creates=True)
    with pytest.raises(VersionMismatch):
        await handler.handle(order, ShipOrder(), a_context(expected=3))


async def test_a_key_replays_its_result_even_after_more_has_happened(
    handler: Handler, store: InMemoryEventStore
) -> None:
    order, context = an_order(), a_context("k")
    placed = await handler.handle(order, PLACE, context, creates=True)
    await handler.handle(order, ConfirmOrder(), a_context())
    again = await handler.handle(order, PLACE, a_context("k"), creates=True)
    assert again == replace(placed, replayed=True)
    assert await store.head() == 2


async def test_a_key_replays_the_first_order_though_the_service_made_another_id(handler: Handler) -> None:
    placed = await handler.handle(an_order(), PLACE, a_context("k"), creates=True)
    again = await handler.handle(an_order(), PLACE, a_context("k"), creates=True)
    assert (again.stream, again.replayed) == (placed.stream, True)


async def test_a_result_found_for_this_very_request_is_no_replay(store: InMemoryEventStore) -> None:
    """The append was sent twice, after a lost answer."""
    context = a_context("k")

    async def append_twice(commit: Commit) -> Outcome:
        await store.append([commit])
        return (await store.append([commit]))[0]

    for one in (context, a_context()):
        handled = await a_handler(store, append_twice).handle(an_order(), PLACE, one, creates=True)
        assert (handled.replayed, handled.version) == (False, 1)


@pytest.mark.parametrize("order_id", [UUID(int=1), UUID(int=2)])
async def test_a_key_of_another_request_is_refused(handler: Handler, store: InMemoryEventStore, order_id: UUID) -> None:
    await handler.handle(StreamId("order", UUID(int=1)), PLACE, a_context("k"), creates=True)
    with pytest.raises(IdempotencyKeyReused):
        await handler.handle(StreamId("order", order_id), PLACE, a_context("k", "other"), creates=True)
    assert await store.head() == 1


async def test_a_key_of_another_principal_is_another_key(handler: Handler, store: InMemoryEventStore) -> None:
    for principal in ("one", "two"):
        context = replace(a_context(), idempotency_key=IdempotencyKey(principal, "k", "f"))
        assert not (await handler.handle(an_order(), PLACE, context, creates=True)).replayed
    assert await store.head() == 2


async def test_a_replay_is_found_though_the_rules_now_refuse(handler: Handler) -> None:
    order = an_order()
    await handler.handle(order, PLACE, a_context(), creates=True)
    first = await handler.handle(order, ConfirmOrder(), a_context("k", expected=1))
    again = await handler.handle(order, ConfirmOrder(), a_context("k", expected=1))
    assert again == replace(first, replayed=True)
