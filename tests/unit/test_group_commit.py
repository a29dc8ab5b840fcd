"""Group commit: who shares an append, what is bounded (I10), and what happens when an append fails (I1)."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count

import pytest

from command_service.errors import AppendRefused, OutcomeUnknown
from command_service.event_store import Appended, Commit, Conflict, EventIdTaken, Outcome
from command_service.group_commit import GroupCommit, Limits
from command_service.memory_store import InMemoryEventStore
from shared.errors import DatabaseUnavailable, Overloaded
from shared.event_log.events import EventId, Position, RecordedEvent, StreamId, Version
from tests.support.events import a_commit, a_stream, an_event


class GatedStore:
    """A store whose appends wait for a gate, and fail as told: `before` or `after` they have taken effect."""

    def __init__(self) -> None:
        self.store = InMemoryEventStore(lambda: datetime.now(UTC))
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls: list[Sequence[Commit]] = []
        self.before: list[Exception] = []
        self.after: list[Exception] = []
        self.poison: Commit | None = None

    async def append(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        self.calls.append(commits)
        await self.gate.wait()
        if self.before:
            raise self.before.pop(0)
        if self.poison in commits:
            raise AppendRefused("poison")
        outcomes = await self.store.append(commits)
        if self.after:
            raise self.after.pop(0)
        return outcomes

    async def read_stream(self, stream: StreamId, after_version: Version = Version(0)) -> Sequence[RecordedEvent]:
        return await self.store.read_stream(stream, after_version)

    async def read_all(
        self, after_position: Position, limit: int, types: Collection[str] | None = None
    ) -> Sequence[RecordedEvent]:
        return await self.store.read_all(after_position, limit, types)

    async def find_event(self, event_id: EventId) -> RecordedEvent | None:
        return await self.store.find_event(event_id)

    async def head(self) -> Position:
        return await self.store.head()


@asynccontextmanager
async def running(store: GatedStore, limits: Limits | None = None) -> AsyncIterator[GroupCommit]:
    ticks = count()
    group_commit = GroupCommit(store, limits or Limits(), lambda: float(next(ticks)))
    task = asyncio.create_task(group_commit.run())
    try:
        yield group_commit
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def start(group_commit: GroupCommit, *commits: Commit) -> "list[asyncio.Task[Outcome]]":
    """Append each in a task of its own, and let them come as far as they can."""
    tasks = [asyncio.create_task(group_commit.append(commit)) for commit in commits]
    for _ in range(10):
        await asyncio.sleep(0)
    return tasks


async def hold(store: GatedStore, group_commit: GroupCommit) -> "asyncio.Task[Outcome]":
    """Have a batch of one in flight."""
    store.gate.clear()
    (task,) = await start(group_commit, a_commit())
    return task


async def test_a_lone_commit_is_sent_at_once() -> None:
    store = GatedStore()
    async with running(store) as group_commit:
        commit = a_commit()
        assert await group_commit.append(commit) == Appended(Version(1), Position(1), Position(1))
    assert store.calls == [[commit]]


async def test_what_arrives_while_a_batch_is_in_flight_goes_into_the_next_one() -> None:
    store = GatedStore()
    async with running(store) as group_commit:
        first = await hold(store, group_commit)
        tasks = await start(group_commit, *(a_commit() for _ in range(5)))
        store.gate.set()
        outcomes = await asyncio.gather(first, *tasks)
    assert [len(call) for call in store.calls] == [1, 5]
    assert [outcome.last_position for outcome in outcomes if isinstance(outcome, Appended)] == [1, 2, 3, 4, 5, 6]


async def test_a_batch_holds_one_commit_per_stream_and_per_event_id() -> None:
    store, stream, event = GatedStore(), a_stream(), an_event()
    async with running(store) as group_commit:
        first = await hold(store, group_commit)
        tasks = await start(
            group_commit,
            a_commit(stream),
            a_commit(stream),
            a_commit(a_stream(), 0, event),
            a_commit(a_stream(), 0, event),
            a_commit(),
        )
        store.gate.set()
        _, *outcomes = await asyncio.gather(first, *tasks)
    assert [len(call) for call in store.calls] == [1, 3, 2]
    assert [type(outcome) for outcome in outcomes] == [Appended, Conflict, Appended, EventIdTaken, Appended]


async def test_a_batch_is_bounded() -> None:
    store = GatedStore()
    async with running(store, Limits(batch_commits=2)) as group_commit:
        first = await hold(store, group_commit)
        tasks = await start(group_commit, *(a_commit() for _ in range(5)))
        store.gate.set()
        await asyncio.gather(first, *tasks)
    assert [len(call) for call in store.calls] == [1, 2, 2, 1]


@pytest.mark.parametrize("limits", [Limits(queue_commits=2), Limits(queue_bytes=100)])
async def test_a_full_queue_refuses_at_once(limits: Limits) -> None:
    store = GatedStore()
    commits = [a_commit(a_stream(), 0, an_event(data="x" * 20)) for _ in range(3)]
    async with running(store, limits) as group_commit:
        first = await hold(store, group_commit)
        *accepted, refused = await start(group_commit, *commits)
        with pytest.raises(Overloaded):
            await asyncio.wait_for(refused, 1)
        store.gate.set()
        await asyncio.gather(first, *accepted)
        assert isinstance(await group_commit.append(a_commit()), Appended)


async def test_a_batch_refused_for_its_data_is_split_until_only_the_culprit_fails() -> None:
    store, culprit = GatedStore(), a_commit()
    store.poison = culprit
    async with running(store) as group_commit:
        first = await hold(store, group_commit)
        commits = [*(a_commit() for _ in range(5)), culprit, *(a_commit() for _ in range(3))]
        tasks = await start(group_commit, *commits)
        store.gate.set()
        results = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert [type(result) for result in results] == [Appended] * 6 + [AppendRefused] + [Appended] * 3
    assert await store.head() == 9


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_append_without_an_answer_is_sent_again_as_it_was(when: str) -> None:
    store, commit = GatedStore(), a_commit()
    setattr(store, when, [OutcomeUnknown(), OutcomeUnknown()])
    async with running(store) as group_commit:
        outcome = await group_commit.append(commit)
    assert outcome.__class__.__name__ == ("Appended" if when == "before" else "Duplicate")
    assert store.calls == [[commit]] * 3
    assert await store.head() == 1


async def test_a_lost_answer_and_a_database_that_then_is_away_is_still_unknown() -> None:
    store = GatedStore()
    store.before = [OutcomeUnknown(), DatabaseUnavailable(), DatabaseUnavailable()]
    async with running(store) as group_commit:
        assert isinstance(await group_commit.append(a_commit()), Appended)
    assert len(store.calls) == 4


async def test_no_answer_before_the_deadline_is_outcome_unknown() -> None:
    store = GatedStore()
    store.before = [OutcomeUnknown() for _ in range(20)]
    async with running(store, Limits(deadline=3.0)) as group_commit:
        with pytest.raises(OutcomeUnknown):
            await group_commit.append(a_commit())
    assert len(store.calls) < 10


async def test_a_database_that_is_away_fails_at_once() -> None:
    store = GatedStore()
    store.before = [DatabaseUnavailable("away")]
    async with running(store) as group_commit:
        with pytest.raises(DatabaseUnavailable):
            await group_commit.append(a_commit())
        assert isinstance(await group_commit.append(a_commit()), Appended)


async def test_a_caller_who_leaves_before_it_is_sent_takes_the_commit_back() -> None:
    store = GatedStore()
    async with running(store) as group_commit:
        first = await hold(store, group_commit)
        leaving, staying = await start(group_commit, a_commit(), a_commit())
        leaving.cancel()
        store.gate.set()
        await asyncio.gather(first, staying)
        await asyncio.gather(leaving, return_exceptions=True)
    assert await store.head() == 2


async def test_closing_refuses_new_commits_and_answers_the_old() -> None:
    store = GatedStore()
    async with running(store) as group_commit:
        first = await hold(store, group_commit)
        (second,) = await start(group_commit, a_commit())
        closing = asyncio.create_task(group_commit.close())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="stopping"):
            await group_commit.append(a_commit())
        store.gate.set()
        await closing
        assert [type(task.result()) for task in (first, second)] == [Appended, Appended]


async def test_a_writer_that_dies_leaves_nobody_waiting() -> None:
    store = GatedStore()
    store.before = [RuntimeError("bug")]
    group_commit = GroupCommit(store, Limits(), lambda: 0.0)
    (waiting,) = await start(group_commit, a_commit())
    with pytest.raises(RuntimeError):
        await group_commit.run()
    with pytest.raises(OutcomeUnknown):
        await waiting
