"""Group commit: concurrent commands of a process share appends.

A lone commit is sent at once; what arrives while a batch is in flight goes into the next one. The queue
is bounded in commits and bytes (invariant I10). A batch holds at most one commit per stream and per event
id, so no two commits of a batch can get into each other's way.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from command_service.errors import AppendRefused
from command_service.event_store import Commit, EventStore, Outcome
from command_service.telemetry import AppendTelemetry, Wait
from shared.backoff import backoff
from shared.errors import DaichoError, DatabaseUnavailable, OutcomeUnknown, Overloaded
from shared.tracing import Tracing

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the queue and of a batch, in commits and bytes.

    `deadline`: seconds in which a commit's outcome must be known, if its caller has no deadline of its own.
    """

    queue_commits: int = 2048
    queue_bytes: int = 64 * 1024 * 1024
    batch_commits: int = 256
    batch_bytes: int = 4 * 1024 * 1024
    deadline: float = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    commit: Commit
    size: int
    outcome: "asyncio.Future[Outcome]"
    wait: Wait


class GroupCommit:
    """Appends through one writer; `run` must be running for commits to be answered."""

    def __init__(
        self,
        store: EventStore,
        limits: Limits,
        clock: Callable[[], float],
        telemetry: AppendTelemetry | None = None,
    ) -> None:
        self._store = store
        self._telemetry = telemetry or AppendTelemetry(CollectorRegistry(), Tracing())
        self._limits = limits
        self._clock = clock
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._in_flight: Sequence[_Waiting] = ()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many commits wait to be sent."""
        return len(self._queue)

    async def append(self, commit: Commit, deadline: float | None = None) -> Outcome:
        """Append one commit, in company; give its outcome. The deadline is in the event loop's time.

        Raises `Overloaded` at once if the queue is full, or if it was not sent before the deadline,
        `DatabaseUnavailable` (nothing was sent), `OutcomeUnknown` (no answer before the deadline) or `AppendRefused`
        (this commit's data).
        A caller that is cancelled before its commit is sent takes it back.
        """
        waiting = self._enqueue(commit)
        timer = self._timer(deadline, [waiting])
        try:
            return await waiting.outcome
        finally:
            timer.cancel()
            self._telemetry.settled(waiting.wait, self._clock())

    async def append_all(
        self, commits: Sequence[Commit], deadline: float | None = None
    ) -> Sequence[Outcome | DaichoError]:
        """Append many commits, each as `append` does; give their outcomes in order, or what `append` would raise."""
        waiting = [self._enqueue(commit) for commit in commits]
        timer = self._timer(deadline, waiting)
        try:
            return [await _settled(one.outcome) for one in waiting]
        finally:
            timer.cancel()
            for one in waiting:
                one.outcome.cancel()

    def _enqueue(self, commit: Commit) -> _Waiting:
        """Have a commit wait to be sent; if there is no room for it, it is answered at once."""
        size = sum(_bytes(event.data) + _bytes(event.metadata) for event in commit.events)
        wait = self._telemetry.begun(self._clock())
        waiting = _Waiting(commit, size, asyncio.get_running_loop().create_future(), wait)
        full = len(self._queue) >= self._limits.queue_commits or self._queued_bytes + size > self._limits.queue_bytes
        if self._closed or full:
            _fail(
                [waiting], Overloaded("The service is stopping." if self._closed else "Too many commands are waiting.")
            )
            return waiting
        self._queue.append(waiting)
        self._queued_bytes += size
        self._idle.clear()
        self._work.set()
        return waiting

    def _timer(self, deadline: float | None, waiting: Sequence[_Waiting]) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        overdue = loop.time() + self._limits.deadline if deadline is None else deadline
        return loop.call_at(overdue, self._give_up, waiting)

    async def run(self) -> None:
        """Send batches until cancelled. If it dies, what it had in flight is answered with `OutcomeUnknown`."""
        try:
            while True:
                await self._work.wait()
                self._in_flight = self._take_batch()
                await self._send(self._in_flight)
                self._in_flight = ()
                if not self._queue:
                    self._work.clear()
                    self._idle.set()
        finally:
            _fail(self._in_flight, OutcomeUnknown())

    async def close(self) -> None:
        """Refuse new commits and wait until the last one is answered, or the deadline."""
        self._closed = True
        try:
            async with asyncio.timeout(self._limits.deadline):
                await self._idle.wait()
        except TimeoutError:
            _logger.warning("stopped with %d commits unanswered", len(self._queue) + len(self._in_flight))
            _fail(self._queue, Overloaded("The service is stopping."))

    def _give_up(self, overdue: Sequence[_Waiting]) -> None:
        """Answer commits whose deadline has come."""
        sent = {event.event_id for one in self._in_flight for event in one.commit.events}
        for waiting in overdue:
            is_sent = any(event.event_id in sent for event in waiting.commit.events)
            error = OutcomeUnknown() if is_sent else Overloaded("It waited too long to be sent.")
            _fail([waiting], error)

    def _take_batch(self) -> list[_Waiting]:
        """Take from the queue, oldest first; what cannot share this batch keeps its place in the queue."""
        batch: list[_Waiting] = []
        left: list[_Waiting] = []
        taken: set[object] = set()
        room = self._limits.batch_bytes
        while self._queue and len(batch) < self._limits.batch_commits and room > 0:
            waiting = self._queue.popleft()
            if waiting.outcome.done():
                self._queued_bytes -= waiting.size
                continue
            names = {waiting.commit.stream, *(event.event_id for event in waiting.commit.events)}
            if names.isdisjoint(taken):
                taken |= names
                room -= waiting.size
                self._queued_bytes -= waiting.size
                batch.append(waiting)
            else:
                left.append(waiting)
        self._queue.extendleft(reversed(left))
        return batch

    async def _send(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        try:
            with self._telemetry.sending([waiting.wait for waiting in batch], self._clock()):
                outcomes = await self._append_for_certain([waiting.commit for waiting in batch])
        except AppendRefused as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            middle = len(batch) // 2
            await self._send(batch[:middle])
            await self._send(batch[middle:])
        except DaichoError as error:
            _fail(batch, error)
        else:
            for waiting, outcome in zip(batch, outcomes, strict=True):
                if not waiting.outcome.done():
                    waiting.outcome.set_result(outcome)

    async def _append_for_certain(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        """Append; if no answer came, append the same again until one does: event ids make that safe."""
        deadline = self._clock() + self._limits.deadline
        delays = backoff(first=0.02, limit=1.0)
        unknown: OutcomeUnknown | None = None
        while True:
            try:
                return await self._store.append(commits)
            except OutcomeUnknown as error:
                unknown = error
                _logger.warning("no answer to an append of %d commits; sending it again", len(commits))
            except (DatabaseUnavailable, Overloaded):
                # Nothing was sent this time. What was sent before may have taken effect, though.
                if unknown is None:
                    raise
            delay = next(delays)
            if self._clock() + delay > deadline:
                raise unknown
            await asyncio.sleep(delay)


async def _settled(outcome: "asyncio.Future[Outcome]") -> Outcome | DaichoError:
    try:
        return await outcome
    except DaichoError as error:
        return error


def _fail(batch: Sequence[_Waiting] | deque[_Waiting], error: DaichoError) -> None:
    for waiting in batch:
        if not waiting.outcome.done():
            waiting.outcome.set_exception(error)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
