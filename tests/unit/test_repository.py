"""States come from the cache, a snapshot or the events, and are the same from each."""

import logging
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from command_service.memory_store import InMemoryEventStore, InMemorySnapshotStore
from command_service.repository import Known, Repository
from command_service.snapshot_taker import SnapshotTaker
from command_service.snapshots import Snapshot, SnapshotStore, StateSchema, Stored
from command_service.state_cache import CachedState, StateCache
from shared.event_log.events import Position, StreamId, Version
from tests.support import tally
from tests.support.events import WHEN
from tests.support.tally import DECIDER, EVENTS, STATE, Added, Tally, TallyEvent, a_tally, append_added


class Taker(SnapshotTaker):
    """Keeps what it is to take until it is told to save it."""

    def __init__(self, store: SnapshotStore) -> None:
        super().__init__(store)
        self.store = store
        self.taken: list[Snapshot] = []

    def take(self, snapshot: Snapshot) -> None:
        self.taken.append(snapshot)

    async def save(self) -> None:
        for snapshot in self.taken:
            await self.store.save([snapshot])


class WatchedSnapshots(InMemorySnapshotStore):
    """Counts the events that loads gave."""

    events = 0

    async def load(self, stream: StreamId, state_schema_version: int) -> Stored:
        stored = await super().load(stream, state_schema_version)
        self.events += len(stored.events)
        return stored


@dataclass(slots=True)
class Parts:
    """A process: its store outlives it."""

    store: InMemoryEventStore = field(default_factory=lambda: InMemoryEventStore(lambda: WHEN))
    schema: StateSchema[Tally] = STATE
    cache: StateCache = field(default_factory=lambda: StateCache(1_000_000))
    snapshots: WatchedSnapshots = field(init=False)
    taker: Taker = field(init=False)
    repository: Repository[Tally, TallyEvent] = field(init=False)

    def __post_init__(self) -> None:
        self.snapshots = WatchedSnapshots(self.store)
        self.restart(self.schema)

    def restart(self, schema: StateSchema[Tally] | None = None) -> None:
        """Forget everything but what is stored."""
        self.schema = schema or self.schema
        self.snapshots.events = 0
        self.taker, self.cache = Taker(self.snapshots), StateCache(1_000_000)
        self.repository = Repository(DECIDER, EVENTS, self.schema, self.store, self.snapshots, self.taker, self.cache)

    def taken(self) -> list[int]:
        return [snapshot.version for snapshot in self.taker.taken]


@pytest.fixture
def parts() -> Parts:
    return Parts()


async def append(parts: Parts, known: Known[Tally], times: int = 1) -> Known[Tally]:
    """Append as the command handler does."""
    await append_added(parts.store, known.stream, times, known.version)
    events = [Added(amount=1, reason=f"number {known.version + number}") for number in range(times)]
    at = WHEN + timedelta(microseconds=known.version + times - 1)
    return parts.repository.appended(known, events, await parts.store.head(), at)


async def test_a_stream_that_does_not_exist_has_the_initial_state_and_is_not_cached(parts: Parts) -> None:
    stream = a_tally()
    assert await parts.repository.load(stream) == Known(stream, Tally(), current=True)
    assert parts.repository.cached(stream) is None
    assert parts.repository.nothing(stream) == Known(stream, Tally(), current=False)


async def test_a_loaded_state_is_current_a_cached_one_may_not_be(parts: Parts) -> None:
    stream = a_tally()
    await append_added(parts.store, stream, 3)
    loaded = await parts.repository.load(stream)
    assert (loaded.state, loaded.version, loaded.position, loaded.current) == (Tally(3, "number 2"), 3, 3, True)
    cached = parts.repository.cached(stream)
    assert cached is not None
    assert (cached.state, cached.version, cached.position, cached.current) == (loaded.state, 3, 3, False)
    assert cached.occurred_at == loaded.occurred_at == WHEN + timedelta(microseconds=2)


async def test_what_was_appended_is_known_without_reading(parts: Parts) -> None:
    stream = a_tally()
    await append(parts, parts.repository.nothing(stream), 3)
    cached = parts.repository.cached(stream)
    assert cached is not None
    parts.restart()
    loaded = await parts.repository.load(stream)
    assert (loaded.state, loaded.version, loaded.position, loaded.occurred_at) == (
        cached.state, cached.version, cached.position, cached.occurred_at,
    )  # fmt: skip


async def test_catching_up_gives_what_a_load_gives(parts: Parts) -> None:
    stream = a_tally()
    await append_added(parts.store, stream, 2)
    known = await parts.repository.load(stream)
    assert await parts.repository.catch_up(known) == known
    await append_added(parts.store, stream, 3, 2)
    caught_up = await parts.repository.catch_up(known)
    assert caught_up.version == 5
    parts.restart()
    assert await parts.repository.load(stream) == caught_up
    assert await parts.repository.catch_up(parts.repository.nothing(stream)) == caught_up


@pytest.mark.parametrize("change", ["position", "version"])
async def test_a_state_of_another_log_is_given_up(parts: Parts, change: str) -> None:
    """As after a restored backup: the stream is shorter, or holds other events at the same versions."""
    stream = a_tally()
    await append_added(parts.store, stream, 3)
    right = await parts.repository.load(stream)
    wrong = {
        "position": Known(stream, Tally(99), Version(3), Position(17), WHEN),
        "version": Known(stream, Tally(99), Version(9), Position(9), WHEN),
    }[change]
    parts.repository.appended(wrong, (), wrong.position, WHEN)
    assert await parts.repository.catch_up(wrong) == right
    cached = parts.repository.cached(stream)
    assert cached is not None
    assert cached.state == right.state


async def test_a_snapshot_is_due_every_n_events_whoever_appends(parts: Parts) -> None:
    parts.restart(StateSchema(Tally, snapshot_every=10))
    known = parts.repository.nothing(a_tally())
    for times in (9, 1, 1, 9, 35):
        known = await append(parts, known, times)
    assert parts.taken() == [10, 20, 55]


async def test_a_load_that_folds_n_events_has_a_snapshot_taken(parts: Parts) -> None:
    parts.restart(StateSchema(Tally, snapshot_every=10))
    short, long = a_tally(), a_tally()
    await append_added(parts.store, short, 9)
    await append_added(parts.store, long, 10)
    for stream in (short, long):
        await parts.repository.load(stream)
    assert parts.taken() == [10]


async def test_a_load_starts_at_the_newest_snapshot(parts: Parts) -> None:
    stream = a_tally()
    await append_added(parts.store, stream, 250)
    whole = await parts.repository.load(stream)
    assert (parts.taken(), parts.snapshots.events) == ([250], 250)
    await parts.taker.save()
    await append_added(parts.store, stream, 30, 250)
    parts.restart()
    loaded = await parts.repository.load(stream)
    assert (loaded.version, loaded.snapshot_version, parts.snapshots.events, parts.taken()) == (280, 250, 31, [])
    assert (loaded.state, whole.state) == (Tally(280, "number 279"), Tally(250, "number 249"))


async def test_a_snapshot_of_another_state_schema_version_is_replaced(parts: Parts) -> None:
    stream = a_tally()
    await append_added(parts.store, stream, 120)
    await parts.snapshots.save([Snapshot(stream, Version(110), b'{"total": 7777}', 1)])
    parts.restart(StateSchema(Tally, version=2))
    assert (await parts.repository.load(stream)).state.total == 120
    await parts.taker.save()
    stored = await parts.snapshots.load(stream, 2)
    assert stored.snapshot is not None
    assert stored.snapshot.version == 120


@pytest.mark.parametrize("state", [b"{}x", b'{"total": "many"}', b"[]", b"null", b'{"total": 1, "last": 2}'])
async def test_a_snapshot_that_does_not_parse_is_named_not_used_and_replaced(
    parts: Parts, state: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    stream = a_tally()
    await append_added(parts.store, stream, 5)
    await parts.snapshots.save([Snapshot(stream, Version(4), state, 1)])
    with caplog.at_level(logging.WARNING):
        loaded = await parts.repository.load(stream)
    assert (loaded.state, loaded.version, loaded.current) == (Tally(5, "number 4"), 5, True)
    assert str(stream.aggregate_id) in caplog.text
    assert "daicho snapshots drop" in caplog.text
    assert parts.taken() == [5]
    await parts.taker.save()
    parts.restart()
    assert await parts.repository.load(stream) == loaded


async def test_a_cached_state_that_does_not_come_back_is_forgotten(parts: Parts) -> None:
    stream = a_tally()
    parts.cache.put(stream, CachedState(Version(1), Position(1), WHEN, b'{"total": NaN}', Version(0)))
    assert parts.repository.cached(stream) is None
    assert parts.cache.get(stream) is None


async def test_without_room_in_the_cache_everything_is_loaded(parts: Parts) -> None:
    stream = a_tally()
    small = Repository(DECIDER, EVENTS, STATE, parts.store, parts.snapshots, parts.taker, StateCache(0))
    known = small.appended(small.nothing(stream), [Added(amount=1)], Position(1), WHEN)
    assert (known.version, small.cached(stream)) == (1, None)


def test_a_state_comes_back_from_what_is_written_of_it() -> None:
    for state in (Tally(), Tally(7, "Aïko"), Tally(10**30, "")):
        assert STATE.decode(STATE.encode(state)) == state


def test_a_tally_refuses_to_give_more_than_it_has() -> None:
    with pytest.raises(tally.TooFew):
        tally.decide(tally.Take(1), Tally())
