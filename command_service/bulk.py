"""Bulk requests: many commands at once, each with an outcome of its own.

A request is carried out in parts, one after the other, and of a part all at once what has neither a stream nor an idempotency key in
common: it shares an append. Few requests have their turn at once, so that bulk fills at most half of group commit's queue and
leaves room for commands by themselves (invariant I10).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from command_service.command_handler import CommandContext, CommandHandler, Decided, Handled
from command_service.event_store import Appended, Commit, Outcome
from shared.errors import DaichoError, Overloaded
from shared.event_log.events import StreamId

T = TypeVar("T")

_BREATH = 16
"""After how many lines others get to run."""
_WAITING_FOR_EACH = 4
"""How many requests, whole in memory, may wait for each that has its turn."""
_TOO_MANY = "Too many bulk requests are waiting."
_TOO_LATE = Overloaded("It waited too long for the lines before it.")


@dataclass(frozen=True, slots=True)
class Line:
    """One command of a bulk request; `success` is the status of its answer."""

    stream: StreamId
    command: object
    context: CommandContext
    creates: bool
    success: int

    def names(self) -> tuple[Hashable, ...]:
        """Give what no two commands of a request may share that are carried out at once."""
        key = self.context.idempotency_key
        return (self.stream,) if key is None else (self.stream, key.key)


Result = tuple[int, Handled[Any]] | Exception
"""The status of a line's answer, and what became of it; or why nothing did, as `CommandHandler.handle` tells."""

Handler = CommandHandler[Any, Any, Any]

AppendAll = Callable[[Sequence[Commit], float | None], Awaitable[Sequence[Outcome | DaichoError]]]
"""Appends commits, as `GroupCommit.append_all` does."""


class BulkRequests:
    """Carries bulk requests out; `deadline` is how many seconds one may wait for its turn, and a line to begin.

    `window` is how many lines of a request may be under way.
    """

    def __init__(self, append_all: AppendAll, turns: int, window: int, deadline: float) -> None:
        self._append_all = append_all
        self._turns = asyncio.Semaphore(turns)
        self._waiting = 0
        self._most_waiting = turns * _WAITING_FOR_EACH
        self._part = max(1, window // 2)
        self.deadline = deadline

    @asynccontextmanager
    async def turn(self, aside: AbstractContextManager[None]) -> AsyncIterator[None]:
        """Have a turn while this lasts; `aside` is entered while there is none yet.

        Raises `Overloaded` if too many wait already, or none comes in time.
        """
        if self._waiting >= self._most_waiting:
            raise Overloaded(_TOO_MANY)
        self._waiting += 1
        try:
            with aside:
                async with asyncio.timeout(self.deadline):
                    await self._turns.acquire()
        except TimeoutError:
            raise Overloaded(_TOO_MANY) from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()

    async def carry_out(self, handler: Handler, lines: Iterable[Line | Exception]) -> list[Result]:
        """Carry the lines out, and give what became of each, in their order; an exception stays what it is.

        A part of `lines` is read while the one before is carried out. What has not begun by the deadline is refused with `Overloaded`.
        """
        unread, results = iter(lines), list[Result]()
        until = asyncio.get_running_loop().time() + self.deadline
        part = await _take_breaths(islice(unread, self._part))
        while part:
            async with asyncio.TaskGroup() as group:
                done = group.create_task(self._carry_out_part(handler, part, until))
                part = await _take_breaths(islice(unread, self._part))
            results += done.result()
        return results

    async def _carry_out_part(self, handler: Handler, part: Sequence[Line | Exception], until: float) -> list[Result]:
        results: dict[int, Result] = {}
        for wave in _waves(part):
            too_late = asyncio.get_running_loop().time() > until
            lines = [line for _, line in wave]
            done = [_TOO_LATE] * len(wave) if too_late else await self._at_once(handler, lines)
            results.update(zip((number for number, _ in wave), done, strict=True))
        return [line if isinstance(line, Exception) else results[number] for number, line in enumerate(part)]

    async def _at_once(self, handler: Handler, lines: Sequence[Line]) -> list[Result]:
        """Carry out lines that have no name in common; those that take a look at the log are handled by themselves."""
        begun = await _take_breaths(_begin(handler, line) for line in lines)
        commits = [decided.commit for decided in begun if decided]
        outcomes = iter(await self._append_all(commits, lines[0].context.deadline))
        results: list[Result | asyncio.Task[Result]] = []
        async with asyncio.TaskGroup() as group:
            for line, decided in zip(lines, begun, strict=True):
                outcome = next(outcomes) if decided else None
                if decided and isinstance(outcome, Appended):
                    results.append(_appended(handler, line, decided, outcome))
                elif isinstance(outcome, DaichoError):
                    results.append(outcome)
                else:
                    results.append(group.create_task(_by_itself(handler, line, decided, outcome)))
        return [one.result() if isinstance(one, asyncio.Task) else one for one in results]


def _waves(part: Sequence[Line | Exception]) -> list[list[tuple[int, Line]]]:
    """Give the lines with their numbers, each in the first wave behind all earlier lines that it shares a name with."""
    waves: list[list[tuple[int, Line]]] = []
    behind: dict[Hashable, int] = {}
    for number, line in enumerate(part):
        if not isinstance(line, Exception):
            names = line.names()
            wave = max(behind.get(name, 0) for name in names)
            behind.update(dict.fromkeys(names, wave + 1))
            if wave == len(waves):
                waves.append([])
            waves[wave].append((number, line))
    return waves


def _begin(handler: Handler, line: Line) -> Decided[Any, Any] | None:
    try:
        return handler.begin(line.stream, line.command, line.context, creates=line.creates)
    except Exception:  # noqa: BLE001 - handled by itself, it raises that again, and its line tells of it
        return None


def _appended(handler: Handler, line: Line, decided: Decided[Any, Any], outcome: Appended) -> Result:
    try:
        return line.success, handler.appended(decided, outcome.last_position)
    except Exception as error:  # noqa: BLE001 - its line tells of it
        return error


async def _by_itself(
    handler: Handler, line: Line, decided: Decided[Any, Any] | None, outcome: Outcome | None
) -> Result:
    try:
        if decided is None or outcome is None:
            return line.success, await handler.handle(line.stream, line.command, line.context, creates=line.creates)
        return line.success, await handler.finish(line.command, decided, outcome)
    except Exception as error:  # noqa: BLE001 - its line tells of it
        return error


async def _take_breaths(items: Iterable[T]) -> list[T]:
    """Give the items; while they are made, others get to run."""
    found = []
    for number, item in enumerate(items, 1):
        found.append(item)
        if number % _BREATH == 0:
            await asyncio.sleep(0)
    return found
