"""A cached state only ever saves reads: what it says is appended at its version, or looked up before a refusal."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest

from command_service.command_handler import CommandHandler
from command_service.errors import VersionMismatch
from command_service.event_store import Commit, Outcome
from command_service.memory_store import InMemoryEventStore, InMemorySnapshotStore
from command_service.orders.commands import CancelOrder, ConfirmOrder, ShipOrder
from command_service.orders.errors import InvalidTransition, OrderAlreadyExists
from command_service.repository import Repository
from command_service.snapshot_taker import SnapshotTaker
from command_service.state_cache import StateCache
from shared.event_log.events import RecordedEvent, StreamId, Version
from tests.support.events import WHEN
from tests.support.tally import DECIDER, EVENTS, STATE, Add, Tally, TallyCommand, TallyEvent, a_tally
from tests.unit.handlers import PLACE, a_context, a_handler, an_idle_handler, an_order

TallyHandler = CommandHandler[TallyCommand, Tally, TallyEvent]


class WatchedStore(InMemoryEventStore):
    """Counts reads of streams."""

    reads = 0

    async def read_stream(self, stream: StreamId, after_version: Version = Version(0)) -> Sequence[RecordedEvent]:
        self.reads += 1
        return await super().read_stream(stream, after_version)


@pytest.fixture
def watched() -> WatchedStore:
    return WatchedStore(lambda: WHEN)


async def test_a_process_that_knows_the_order_reads_nothing(watched: WatchedStore) -> None:
    handler, order = a_handler(watched), an_order()
    await handler.handle(order, PLACE, a_context(), creates=True)
    await handler.handle(order, ConfirmOrder(), a_context())
    shipped = await handler.handle(order, ShipOrder(), a_context(expected=2))
    assert (shipped.version, watched.reads) == (3, 0)


async def test_another_process_moved_on_and_the_command_is_now_allowed(watched: WatchedStore) -> None:
    here, there, order = a_handler(watched), a_handler(watched), an_order()
    await here.handle(order, PLACE, a_context(), creates=True)
    await there.handle(order, ConfirmOrder(), a_context())
    assert (await here.handle(order, ShipOrder(), a_context())).version == 3


@pytest.mark.parametrize("expected", [None, 2])
async def test_another_process_moved_on_and_if_match_names_what_it_did(
    watched: WatchedStore, expected: int | None
) -> None:
    here, there, order = a_handler(watched), a_handler(watched), an_order()
    await here.handle(order, PLACE, a_context(), creates=True)
    await there.handle(order, ConfirmOrder(), a_context())
    assert (await here.handle(order, CancelOrder(reason="late"), a_context(expected=expected))).version == 3


async def test_another_process_moved_on_and_the_command_is_refused_for_that(watched: WatchedStore) -> None:
    here, there, order = a_handler(watched), a_handler(watched), an_order()
    await here.handle(order, PLACE, a_context(), creates=True)
    await there.handle(order, CancelOrder(reason="late"), a_context())
    with pytest.raises(InvalidTransition) as refused:
        await here.handle(order, ConfirmOrder(), a_context())
    assert refused.value.status == "cancelled"
    with pytest.raises(VersionMismatch) as mismatch:
        await here.handle(order, ConfirmOrder(), a_context(expected=1))
    assert mismatch.value.current_version == 2
    assert await watched.head() == 2


async def test_a_refusal_is_never_given_without_a_look_at_the_log(watched: WatchedStore) -> None:
    handler, order = a_handler(watched), an_order()
    await handler.handle(order, PLACE, a_context(), creates=True)
    with pytest.raises(InvalidTransition):
        await handler.handle(order, ShipOrder(), a_context())
    assert watched.reads == 1
    with pytest.raises(OrderAlreadyExists):
        await handler.handle(order, PLACE, a_context(), creates=True)
    assert watched.reads == 2


async def test_nor_is_it_said_that_there_is_nothing_to_do(watched: WatchedStore) -> None:
    order = an_order()
    placed = await a_handler(watched).handle(order, PLACE, a_context(), creates=True)
    idle = an_idle_handler(watched)
    first = await idle.handle(order, ConfirmOrder(), a_context())
    await a_handler(watched).handle(order, ConfirmOrder(), a_context())
    second = await idle.handle(order, ConfirmOrder(), a_context())
    assert (first.version, second.version) == (placed.version, 2)


async def test_in_a_stream_time_only_moves_forward(watched: WatchedStore) -> None:
    """Whatever the clocks of replicas say, each event of a stream has a later `occurred_at` than the one before."""
    clock = iter([WHEN, WHEN, WHEN - timedelta(hours=1), WHEN + timedelta(hours=1)])
    handler, stream = a_tally_handler(watched, lambda: next(clock)), a_tally()
    for times in (1, 2, 3, 1):
        await handler.handle(stream, Add(1, times), a_context())
    ticks = [(event.occurred_at - WHEN) // timedelta(microseconds=1) for event in await watched.read_stream(stream)]
    assert ticks == [0, 1, 2, 3, 4, 5, 3_600_000_000]


def a_tally_handler(store: InMemoryEventStore, now: Callable[[], datetime]) -> TallyHandler:
    async def append_one(commit: Commit, _: float | None = None) -> Outcome:
        return (await store.append([commit]))[0]

    snapshots = InMemorySnapshotStore(store)
    repository = Repository(DECIDER, EVENTS, STATE, store, snapshots, SnapshotTaker(snapshots), StateCache(0))
    return CommandHandler(DECIDER, repository, store, append_one, now)
