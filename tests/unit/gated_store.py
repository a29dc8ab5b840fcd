"""A store that waits and fails as told, and group commit running over it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count

from command_service.errors import AppendRefused
from command_service.event_store import Commit, Outcome
from command_service.group_commit import GroupCommit, Limits
from command_service.memory_store import InMemoryEventStore
from shared.event_log.events import EventId, Position, RecordedEvent, StreamId, Version
from tests.support.events import a_commit


class GatedStore:
    """A store whose appends wait for a gate, and fail as told: `before` or `after` they have taken effect.

    Each append takes the next of both; None lets it pass.
    """

    def __init__(self) -> None:
        self.store = InMemoryEventStore(lambda: datetime.now(UTC))
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls: list[Sequence[Commit]] = []
        self.before: list[Exception | None] = []
        self.after: list[Exception | None] = []
        self.poison: Commit | None = None

    async def append(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        self.calls.append(commits)
        await self.gate.wait()
        if self.before and (error := self.before.pop(0)):
            raise error
        if self.poison in commits:
            raise AppendRefused("poison")
        outcomes = await self.store.append(commits)
        if self.after and (error := self.after.pop(0)):
            raise error
        return outcomes

    async def read_stream(self, stream: StreamId, after_version: Version = Version(0)) -> Sequence[RecordedEvent]:
        return await self.store.read_stream(stream, after_version)

    async def read_all(
        self,
        after_position: Position,
        limit: int,
        types: Collection[str] | None = None,
        max_bytes: int | None = None,
    ) -> Sequence[RecordedEvent]:
        return await self.store.read_all(after_position, limit, types, max_bytes)

    async def find_event(self, event_id: EventId) -> RecordedEvent | None:
        return await self.store.find_event(event_id)

    async def touched(self, after: Position, upto: Position) -> frozenset[StreamId]:
        return await self.store.touched(after, upto)

    async def head(self) -> Position:
        return await self.store.head()

    async def settle(self) -> None:
        await self.store.settle()


@asynccontextmanager
async def running(
    store: GatedStore, limits: Limits | None = None, clock: Callable[[], float] | None = None
) -> AsyncIterator[GroupCommit]:
    """Run group commit; unless a clock is given, each look at it finds a second gone."""
    ticks = count()
    group_commit = GroupCommit(store, limits or Limits(), clock or (lambda: float(next(ticks))))
    task = asyncio.create_task(group_commit.run())
    try:
        yield group_commit
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def start(
    group_commit: GroupCommit, *commits: Commit, seconds: float | None = None
) -> "list[asyncio.Task[Outcome]]":
    """Append each in a task of its own, to be answered in so many seconds, and let them come as far as they can."""
    deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
    tasks = [asyncio.create_task(group_commit.append(commit, deadline)) for commit in commits]
    for _ in range(10):
        await asyncio.sleep(0)
    return tasks


async def hold(store: GatedStore, group_commit: GroupCommit, seconds: float = 60) -> "asyncio.Task[Outcome]":
    """Have a batch of one in flight."""
    store.gate.clear()
    (task,) = await start(group_commit, a_commit(), seconds=seconds)
    return task
