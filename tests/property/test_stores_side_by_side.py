"""The store in memory and the one in PostgreSQL do the same, whatever is asked of them."""

import asyncio
import json
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from uuid import uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, rule, run_state_machine_as_test
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.errors import AppendRefused
from command_service.event_store import Appended, Commit, EventStore
from command_service.memory_store import InMemoryEventStore, InMemorySnapshotStore
from command_service.postgres_snapshots import PostgresSnapshotStore
from command_service.postgres_store import PostgresEventStore
from command_service.snapshots import Snapshot, SnapshotStore
from shared.event_log.events import EventId, NewEvent, Position, RecordedEvent, StreamId, Version
from tests.support.databases import connected
from tests.support.events import WHEN

T = TypeVar("T")

TYPES = ["A", "B", "C"]


@dataclass(slots=True)
class Stores:
    """Both, kept over all runs: each run has streams of its own."""

    run: asyncio.Runner
    engine: AsyncEngine
    logs: list[EventStore] = field(init=False)
    snapshots: list[SnapshotStore] = field(init=False)

    def __post_init__(self) -> None:
        memory = InMemoryEventStore(lambda: WHEN)
        self.logs = [memory, PostgresEventStore(self.engine)]
        self.snapshots = [InMemorySnapshotStore(memory), PostgresSnapshotStore(self.engine)]

    def same(self, *asked: Coroutine[Any, Any, T]) -> T:
        """Ask both; give the answer that both must give."""
        first, second = (self._answer(one) for one in asked)
        assert first == second
        answer: T = first
        return answer

    def _answer(self, asked: Coroutine[Any, Any, Any]) -> Any:
        try:
            return comparable(self.run.run(asked))
        except AppendRefused:
            return "refused"


def comparable(answer: Any) -> Any:
    """Leave out how JSON is spaced, and when it was recorded."""
    if isinstance(answer, RecordedEvent):
        parsed = {"data": json.loads(answer.data), "metadata": json.loads(answer.metadata)}
        return answer._replace(**parsed, recorded_at=WHEN)
    if isinstance(answer, Snapshot):
        return replace(answer, state=json.loads(answer.state))
    if isinstance(answer, list | tuple):
        return [comparable(one) for one in answer]
    return answer


def an_event(event_id: EventId, event_type: str, number: int) -> NewEvent:
    return NewEvent(event_id, event_type, 1, json.dumps({"number": number}), '{"x": "台帳"}', WHEN)


class SideBySide(RuleBasedStateMachine):
    """Appends of all kinds, repeated, in conflict, with ids that are taken; and every kind of read."""

    streams = Bundle("streams")
    sent = Bundle("sent")
    ids = Bundle("ids")

    def __init__(self, stores: Stores) -> None:
        super().__init__()
        self.stores = stores
        self.versions: dict[StreamId, int] = {}
        self.start = stores.same(*(log.head() for log in stores.logs))

    def append(self, commits: Sequence[Commit]) -> None:
        outcomes: Any = self.stores.same(*(log.append(commits) for log in self.stores.logs))
        if outcomes != "refused":
            for commit, outcome in zip(commits, outcomes, strict=True):
                if isinstance(outcome, Appended):
                    self.versions[commit.stream] = outcome.version

    @rule(target=streams, kind=st.sampled_from(["thing", "other"]))
    def a_new_stream(self, kind: str) -> StreamId:
        stream = StreamId(kind, uuid4())
        self.versions[stream] = 0
        return stream

    @rule(
        target=sent,
        parts=st.lists(
            st.tuples(
                streams, st.sampled_from([0, 0, 0, -1, 1]), st.lists(st.sampled_from(TYPES), min_size=1, max_size=3)
            ),
            min_size=1,
            max_size=4,
        ),
    )
    def append_new_events(self, parts: list[tuple[StreamId, int, list[str]]]) -> list[Commit]:
        """At the right version, or beside it; streams may occur twice."""
        commits = [
            Commit(
                stream,
                Version(max(self.versions[stream] + off, 0)),
                tuple(an_event(EventId(uuid4()), event_type, number) for number, event_type in enumerate(types)),
            )
            for stream, off, types in parts
        ]
        self.append(commits)
        return commits

    @rule(target=sent, old=sent, new=sent)
    def append_again(self, old: list[Commit], new: list[Commit]) -> Any:
        """As after a lost answer, and with company."""
        self.append(old)
        self.append([*old, *new])
        return multiple()

    @rule(old=sent, stream=streams, keep=st.integers(1, 3))
    def append_with_ids_that_are_taken(self, old: list[Commit], stream: StreamId, keep: int) -> None:
        events = old[0].events
        fresh = an_event(EventId(uuid4()), "A", 7)
        for mixed in (events[:keep], (*events[:keep], fresh), (fresh, *events[:keep]), events[::-1]):
            self.append([Commit(stream, Version(self.versions[stream]), mixed)])

    @rule(stream=streams, after=st.integers(0, 12))
    def read_a_stream(self, stream: StreamId, after: int) -> None:
        self.stores.same(*(log.read_stream(stream, Version(after)) for log in self.stores.logs))

    @rule(after=st.integers(0, 60), limit=st.integers(1, 30), types=st.none() | st.sets(st.sampled_from([*TYPES, "D"])))
    def read_the_log(self, after: int, limit: int, types: set[str] | None) -> None:
        position = Position(self.start + after)
        self.stores.same(*(log.read_all(position, limit, types) for log in self.stores.logs))

    @rule(after=st.integers(0, 60), count=st.integers(0, 30))
    def read_what_was_touched(self, after: int, count: int) -> None:
        first, last = Position(self.start + after), Position(self.start + after + count)
        self.stores.same(*(log.touched(first, last) for log in self.stores.logs))

    @rule(old=sent)
    def find_events(self, old: list[Commit]) -> None:
        for event in (*old[0].events, an_event(EventId(uuid4()), "A", 1)):
            self.stores.same(*(log.find_event(event.event_id) for log in self.stores.logs))

    @rule(stream=streams, version=st.integers(1, 10), schema=st.integers(1, 2), total=st.integers())
    def save_a_snapshot(self, stream: StreamId, version: int, schema: int, total: int) -> None:
        snapshot = Snapshot(stream, Version(version), json.dumps({"total": total}).encode(), schema)
        self.stores.same(*(store.save([snapshot]) for store in self.stores.snapshots))

    @rule(stream=streams, schema=st.integers(1, 2))
    def load_from_a_snapshot(self, stream: StreamId, schema: int) -> None:
        async def load(store: SnapshotStore) -> tuple[object, object]:
            stored = await store.load(stream, schema)
            return stored.snapshot, stored.events

        self.stores.same(*(load(store) for store in self.stores.snapshots))

    def teardown(self) -> None:
        """Whatever was asked, both logs hold the same, without a gap."""
        head = self.stores.same(*(log.head() for log in self.stores.logs))
        events = self.stores.same(*(log.read_all(Position(self.start), head + 1) for log in self.stores.logs))
        assert [event.position for event in events] == list(range(self.start + 1, head + 1))
        for stream, version in self.versions.items():
            versions = [event.version for event in events if event.stream == stream]
            assert versions == list(range(1, version + 1))


def test_side_by_side(database: str) -> None:
    with asyncio.Runner() as runner:
        context = connected(database)
        stores = Stores(runner, runner.run(context.__aenter__()))
        try:
            run_state_machine_as_test(
                lambda: SideBySide(stores),  # type: ignore[arg-type]
                settings=settings(deadline=None, max_examples=60, stateful_step_count=30),
            )
        finally:
            runner.run(context.__aexit__(None, None, None))
