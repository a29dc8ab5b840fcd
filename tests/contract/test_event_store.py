"""The contract of an event store (I2, I3, I4, I6, I7): in PostgreSQL, in memory, and PostgreSQL's as JetStream carries it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from command_service.errors import AppendRefused
from command_service.event_store import Appended, Commit, Conflict, Duplicate, EventIdTaken, EventStore
from command_service.memory_store import InMemoryEventStore
from command_service.postgres_store import PostgresEventStore
from shared.event_log.events import EventId, Position, StreamId, Version
from tests.support.databases import Server, cloned, connected
from tests.support.events import WHEN, a_commit, a_stream, an_event
from tests.support.nats import relayed_store


@pytest.fixture(params=["memory", "postgres", "jetstream"])
async def store(request: pytest.FixtureRequest, postgres: Server, template: str) -> AsyncIterator[EventStore]:
    if request.param == "memory":
        yield InMemoryEventStore(lambda: datetime.now(UTC))
        return
    async with cloned(postgres, template) as url, connected(url) as engine:
        if request.param == "postgres":
            yield PostgresEventStore(engine)
            return
        async with relayed_store(engine, request.getfixturevalue("nats_server")) as relayed:
            yield relayed


async def test_an_empty_log_has_head_0_and_no_events(store: EventStore) -> None:
    assert await store.head() == 0
    assert await store.read_all(Position(0), 10) == []
    assert await store.read_stream(a_stream()) == []
    assert await store.find_event(an_event().event_id) is None


async def test_append_gives_versions_and_gapless_positions(store: EventStore) -> None:
    first, second = a_stream(), a_stream()
    outcomes = await store.append([a_commit(first, 0, an_event(), an_event()), a_commit(second)])
    assert outcomes == [
        Appended(Version(2), Position(1), Position(2)),
        Appended(Version(1), Position(3), Position(3)),
    ]
    assert await store.append([a_commit(first, 2)]) == [Appended(Version(3), Position(4), Position(4))]
    assert await store.head() == 4
    assert [event.version for event in await store.read_stream(first)] == [1, 2, 3]
    assert [event.position for event in await store.read_stream(first)] == [1, 2, 4]


async def test_an_event_is_read_as_it_was_written(store: EventStore) -> None:
    stream = a_stream()
    event = an_event(data={"name": "Aïko 台帳 \U0001f375", "list": [1, {"deep": None}], "big": 12345678901234567890})
    await store.append([a_commit(stream, 0, event)])
    (recorded,) = await store.read_stream(stream)
    assert (recorded.stream, recorded.version, recorded.position) == (stream, 1, 1)
    assert (recorded.event_id, recorded.event_type, recorded.schema_version) == (event.event_id, "Happened", 1)
    assert json.loads(recorded.data) == json.loads(event.data)
    assert json.loads(recorded.metadata) == json.loads(event.metadata)
    assert recorded.occurred_at == WHEN
    assert recorded.recorded_at.tzinfo is not None
    assert await store.find_event(event.event_id) == recorded
    assert await store.read_all(Position(0), 10) == [recorded]


@pytest.mark.parametrize("expected", [0, 2, 7])
async def test_a_wrong_expected_version_conflicts_and_appends_nothing(store: EventStore, expected: int) -> None:
    stream = a_stream()
    await store.append([a_commit(stream)])
    assert await store.append([a_commit(stream, expected)]) == [Conflict(Version(1))]
    assert await store.head() == 1


async def test_a_stream_that_does_not_exist_conflicts_with_any_version(store: EventStore) -> None:
    assert await store.append([a_commit(expected=1)]) == [Conflict(Version(0))]
    assert await store.head() == 0


async def test_one_commits_conflict_does_not_disturb_the_others(store: EventStore) -> None:
    stream, late = a_stream(), a_stream()
    await store.append([a_commit(stream)])
    outcomes = await store.append([a_commit(), a_commit(stream, 0), a_commit(late, 0, an_event(), an_event())])
    assert outcomes == [
        Appended(Version(1), Position(2), Position(2)),
        Conflict(Version(1)),
        Appended(Version(2), Position(3), Position(4)),
    ]


async def test_the_same_event_ids_again_are_a_duplicate_with_the_same_outcome(store: EventStore) -> None:
    commit = a_commit(a_stream(), 0, an_event(), an_event())
    await store.append([a_commit(), commit])
    await store.append([a_commit(commit.stream, 2)])
    again = Duplicate(Version(2), Position(2), Position(3))
    assert await store.append([commit]) == [again]
    assert await store.append([a_commit(), commit, a_commit()]) == [
        Appended(Version(1), Position(5), Position(5)),
        again,
        Appended(Version(1), Position(6), Position(6)),
    ]
    assert await store.head() == 6


async def test_an_event_id_of_another_stream_is_taken(store: EventStore) -> None:
    event = an_event()
    await store.append([a_commit(a_stream(), 0, event)])
    assert await store.append([a_commit(a_stream(), 0, event)]) == [EventIdTaken(Position(1))]
    assert await store.head() == 1


async def test_an_event_id_of_another_commit_of_the_stream_is_taken(store: EventStore) -> None:
    stream, event = a_stream(), an_event()
    await store.append([a_commit(stream, 0, event, an_event())])
    assert await store.append([a_commit(stream, 2, event, an_event())]) == [EventIdTaken(Position(1))]
    assert await store.head() == 2


@pytest.mark.parametrize("case", ["later id taken", "stream twice", "id twice in a commit", "id twice in the batch"])
async def test_bad_data_refuses_the_whole_append(store: EventStore, case: str) -> None:
    known, twice, stream = an_event(), an_event(), a_stream()
    await store.append([a_commit(a_stream(), 0, known)])
    commits = {
        "later id taken": [a_commit(), a_commit(a_stream(), 0, an_event(), known)],
        "stream twice": [a_commit(stream), a_commit(stream)],
        "id twice in a commit": [a_commit(), a_commit(a_stream(), 0, twice, twice)],
        "id twice in the batch": [a_commit(a_stream(), 0, twice), a_commit(a_stream(), 0, twice)],
    }
    with pytest.raises(AppendRefused):
        await store.append(commits[case])
    assert await store.head() == 1


async def test_streams_of_two_types_with_one_id_are_two_streams(store: EventStore) -> None:
    stream = a_stream()
    other = StreamId("other_thing", stream.aggregate_id)
    outcomes = await store.append([a_commit(stream), a_commit(other)])
    assert [type(outcome) for outcome in outcomes] == [Appended, Appended]
    assert [event.position for event in await store.read_stream(other)] == [2]


async def test_read_stream_starts_after_a_version(store: EventStore) -> None:
    stream = a_stream()
    await store.append([a_commit(stream, 0, *(an_event() for _ in range(5)))])
    assert [event.version for event in await store.read_stream(stream, Version(3))] == [4, 5]
    assert await store.read_stream(stream, Version(5)) == []


async def test_read_all_pages_through_the_log_in_order(store: EventStore) -> None:
    await store.append([a_commit(a_stream(), 0, an_event(), an_event()) for _ in range(5)])
    seen: list[int] = []
    while page := await store.read_all(Position(seen[-1] if seen else 0), 3):
        seen += [event.position for event in page]
    assert seen == list(range(1, 11))


async def test_read_all_can_be_limited_to_types(store: EventStore) -> None:
    events = [an_event(event_type=event_type) for event_type in ("A", "B", "C", "A", "B")]
    await store.append([a_commit(a_stream(), 0, *events)])
    assert [event.position for event in await store.read_all(Position(0), 10, {"A", "C"})] == [1, 3, 4]
    assert [event.position for event in await store.read_all(Position(1), 1, {"A"})] == [4]
    assert await store.read_all(Position(0), 10, set()) == []


async def test_read_all_can_be_limited_to_bytes(store: EventStore) -> None:
    await store.append([a_commit(a_stream(), 0, *(an_event(event_type=one) for one in ("A", "B", "A", "B", "A")))])
    size = (await store.read_all(Position(0), 1))[0].size
    for max_bytes, expected in ((1, [2]), (size, [2]), (size + 1, [2, 3]), (2 * size, [2, 3]), (9 * size, [2, 3, 4])):
        found = await store.read_all(Position(1), 3, max_bytes=max_bytes)
        assert [event.position for event in found] == expected, max_bytes
    assert [event.position for event in await store.read_all(Position(0), 9, {"A"}, size + 1)] == [1, 3]


async def test_concurrent_appends_to_one_stream_let_exactly_one_through(store: EventStore) -> None:
    stream = a_stream()
    results = await asyncio.gather(*(store.append([a_commit(stream)]) for _ in range(10)))
    outcomes = [outcome for (outcome,) in results]
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Appended"] + ["Conflict"] * 9
    assert await store.head() == 1


async def test_concurrent_appends_of_one_event_id_let_exactly_one_through(store: EventStore) -> None:
    event_id = EventId(an_event().event_id)
    results = await asyncio.gather(*(store.append([a_commit(a_stream(), 0, an_event(event_id))]) for _ in range(10)))
    assert [outcome for (outcome,) in results if not isinstance(outcome, Appended)] == [EventIdTaken(Position(1))] * 9


async def test_a_commit_after_another_event_of_that_version_conflicts(store: EventStore) -> None:
    """The version alone may be that of another log's event."""
    stream, first = a_stream(), an_event()
    await store.append([a_commit(stream, 0, first)])
    other, right = (Commit(stream, Version(1), (an_event(),), known) for known in (EventId(uuid4()), first.event_id))
    assert await store.append([other]) == [Conflict(Version(1))]
    missing = Commit(a_stream(), Version(0), (an_event(),), first.event_id)
    assert await store.append([missing]) == [Conflict(Version(0))]
    assert await store.append([right]) == [Appended(Version(2), Position(2), Position(2))]


async def test_what_was_touched_is_told_by_positions(store: EventStore) -> None:
    streams = [a_stream() for _ in range(3)]
    await store.append([a_commit(stream, 0, an_event(), an_event()) for stream in streams])
    assert await store.touched(Position(0), Position(6)) == set(streams)
    assert await store.touched(Position(2), Position(3)) == {streams[1]}
    assert await store.touched(Position(1), Position(4)) == set(streams[:2])
    assert await store.touched(Position(6), Position(6)) == set()
