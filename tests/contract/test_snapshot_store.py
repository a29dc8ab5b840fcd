"""The contract of a snapshot store: the one in PostgreSQL and the one in memory pass the same suite."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from command_service.event_store import EventStore
from command_service.memory_store import InMemoryEventStore, InMemorySnapshotStore
from command_service.postgres_snapshots import PostgresSnapshotStore
from command_service.postgres_store import PostgresEventStore
from command_service.snapshots import Snapshot, SnapshotStore
from shared.event_log.events import EventId, StreamId, Version
from tests.support.databases import Server, cloned, connected
from tests.support.events import a_commit, a_stream, an_event


@dataclass(frozen=True, slots=True)
class Stores:
    log: EventStore
    snapshots: SnapshotStore


@pytest.fixture(params=["memory", "postgres"])
async def stores(request: pytest.FixtureRequest, postgres: Server, template: str) -> AsyncIterator[Stores]:
    if request.param == "memory":
        log = InMemoryEventStore(lambda: datetime.now(UTC))
        yield Stores(log, InMemorySnapshotStore(log))
        return
    async with cloned(postgres, template) as url, connected(url) as engine:
        yield Stores(PostgresEventStore(engine), PostgresSnapshotStore(engine))


async def a_stream_of(stores: Stores, events: int) -> StreamId:
    stream = a_stream()
    await stores.log.append([a_commit(stream, 0, *(an_event() for _ in range(events)))])
    return stream


def a_snapshot(stream: StreamId, version: int, schema: int = 1, **state: object) -> Snapshot:
    return Snapshot(stream, Version(version), json.dumps(state).encode(), schema)


async def loaded(stores: Stores, stream: StreamId, schema: int = 1) -> tuple[object, int, list[int]]:
    """Give the snapshot's state and version, and the versions of the events."""
    stored = await stores.snapshots.load(stream, schema)
    snapshot = stored.snapshot
    state = json.loads(snapshot.state) if snapshot else None
    if snapshot is not None:
        assert (snapshot.stream, snapshot.state_schema_version) == (stream, schema)
    return state, snapshot.version if snapshot else 0, [event.version for event in stored.events]


async def test_a_stream_that_does_not_exist_has_nothing(stores: Stores) -> None:
    assert await loaded(stores, a_stream()) == (None, 0, [])


async def test_without_a_snapshot_every_event_is_given(stores: Stores) -> None:
    stream = await a_stream_of(stores, 3)
    assert await loaded(stores, stream) == (None, 0, [1, 2, 3])
    assert (await stores.snapshots.load(stream, 1)).events == await stores.log.read_stream(stream)


@pytest.mark.parametrize(("version", "events"), [(1, [1, 2, 3]), (2, [2, 3]), (3, [3])])
async def test_a_snapshot_comes_with_its_own_last_event_and_what_follows(
    stores: Stores, version: int, events: list[int]
) -> None:
    stream, other = await a_stream_of(stores, 3), await a_stream_of(stores, 3)
    await stores.snapshots.save([a_snapshot(stream, version, name="Aïko", at=[1, None])])
    assert await loaded(stores, stream) == ({"name": "Aïko", "at": [1, None]}, version, events)
    assert await loaded(stores, other) == (None, 0, [1, 2, 3])


async def test_the_newest_snapshot_is_kept(stores: Stores) -> None:
    stream, other = await a_stream_of(stores, 3), await a_stream_of(stores, 3)
    await stores.snapshots.save([a_snapshot(stream, 2, n=2), a_snapshot(other, 3, n=33)])
    await stores.snapshots.save([a_snapshot(stream, 1, n=1), a_snapshot(other, 3, n=34)])
    assert await loaded(stores, stream) == ({"n": 2}, 2, [2, 3])
    assert await loaded(stores, other) == ({"n": 34}, 3, [3])


async def test_a_snapshot_of_another_schema_version_is_ignored_and_replaced(stores: Stores) -> None:
    stream = await a_stream_of(stores, 3)
    await stores.snapshots.save([a_snapshot(stream, 3, 1, old=True)])
    assert await loaded(stores, stream, 2) == (None, 0, [1, 2, 3])
    await stores.snapshots.save([a_snapshot(stream, 2, 2, new=True)])
    assert await loaded(stores, stream, 2) == ({"new": True}, 2, [2, 3])
    assert await loaded(stores, stream, 1) == (None, 0, [1, 2, 3])


async def test_a_snapshot_ahead_of_its_stream_is_left_out(stores: Stores) -> None:
    stream = await a_stream_of(stores, 2)
    await stores.snapshots.save([a_snapshot(stream, 3)])
    assert await loaded(stores, stream) == (None, 0, [1, 2])


async def test_a_snapshot_of_another_logs_event_is_left_out(stores: Stores) -> None:
    """At the same version there may be another event, in a log that was restored."""
    stream = await a_stream_of(stores, 3)
    own = (await stores.log.read_stream(stream))[1].event_id
    state = json.dumps({"total": 2}).encode()
    await stores.snapshots.save([Snapshot(stream, Version(2), state, 1, EventId(uuid4()))])
    assert await loaded(stores, stream) == (None, 0, [1, 2, 3])
    await stores.snapshots.save([Snapshot(stream, Version(2), state, 1, own)])
    assert await loaded(stores, stream) == ({"total": 2}, 2, [2, 3])
