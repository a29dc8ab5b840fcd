"""Bulk requests: many commands at once, each with an outcome of its own.

Commands for one stream, or with one idempotency key, are carried out one after the other as they came; others go at once and
share appends. A request has a window of commands under way, and few requests have their turn at once, so that bulk fills at most half
of group commit's queue and leaves room for commands by themselves (invariant I10).
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from command_service.command_handler import CommandContext, CommandHandler, Handled
from shared.errors import Overloaded
from shared.event_log.events import StreamId

_BREATH = 16
"""After how many lines others get to run."""
_WAITING_FOR_EACH = 4
"""How many requests, whole in memory, may wait for each that has its turn."""
_TOO_MANY = "Too many bulk requests are waiting."


@dataclass(frozen=True, slots=True)
class Line:
    """One command of a bulk request; `success` is the status of its answer."""

    stream: StreamId
    command: object
    context: CommandContext
    creates: bool
    success: int

    def names(self) -> tuple[Hashable, ...]:
        """Give what no two commands may share that are carried out at once."""
        key = self.context.idempotency_key
        return (self.stream,) if key is None else (self.stream, key.event_id(0))


Result = tuple[Line, Handled[Any]] | Exception
"""What became of a line; an exception tells why nothing did, as `CommandHandler.handle` does."""


class BulkRequests:
    """Carries bulk requests out; `deadline` is how many seconds one may wait for its turn, and a line to begin."""

    def __init__(self, turns: int, window: int, deadline: float) -> None:
        self._turns = asyncio.Semaphore(turns)
        self._waiting = 0
        self._most_waiting = turns * _WAITING_FOR_EACH
        self._window = window
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

    async def carry_out(
        self, handler: CommandHandler[Any, Any, Any], lines: Iterable[Line | Exception]
    ) -> list[Result]:
        """Carry the lines out, and give what became of each, in their order; an exception stays what it is.

        `lines` is read no further than the window reaches. What has not begun by the deadline is refused with `Overloaded`.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self.deadline
        window = asyncio.Semaphore(self._window)
        last: dict[Hashable, asyncio.Task[Result]] = {}

        async def one(line: Line, before: set[asyncio.Task[Result]]) -> Result:
            try:
                if before:
                    await asyncio.wait(before)
                if loop.time() > until:
                    return Overloaded("It waited too long for the lines before it.")
                return line, await handler.handle(line.stream, line.command, line.context, creates=line.creates)
            except Exception as error:  # noqa: BLE001 - its line tells of it
                return error
            finally:
                window.release()

        results: list[asyncio.Task[Result] | Exception] = []
        async with asyncio.TaskGroup() as group:
            for number, line in enumerate(lines, 1):
                if isinstance(line, Exception):
                    results.append(line)
                else:
                    await window.acquire()
                    names = line.names()
                    task = group.create_task(one(line, {last[name] for name in names if name in last}))
                    last.update(dict.fromkeys(names, task))
                    results.append(task)
                if number % _BREATH == 0:
                    await asyncio.sleep(0)
        return [result if isinstance(result, Exception) else result.result() for result in results]
