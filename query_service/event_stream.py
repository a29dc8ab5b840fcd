"""What one client of the event stream is sent, piece by piece."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from math import inf
from typing import NamedTuple

from query_service.catching_up import CatchingUp
from query_service.event_pages import EventFilters, EventTraits
from query_service.event_ring import PIECE_BYTES
from query_service.event_tail import EventTail
from query_service.rendered_events import Schema, position_message
from shared.backoff import backoff
from shared.errors import DatabaseUnavailable, Overloaded
from shared.event_log.events import Position

_STOP_SECONDS = 1.0
"""What a client has to take what it is being sent, when the service stops."""


class Wanted(NamedTuple):
    """Which events a client wants, as the log is searched for them and as they are told in memory, in which form."""

    filters: EventFilters
    matches: Callable[[EventTraits], bool] | None
    schema: Schema


class EventStream:
    """Gives what follows a position, from the ring, or where that begins too late from the log; then waits for more.

    `cursor` is the position up to which the client has been given everything; `ends_at`, by the event loop's clock, is
    when the stream is over.
    """

    def __init__(
        self, tail: EventTail, log: CatchingUp, wanted: Wanted, after: Position, heartbeat: float, ends_at: float = inf
    ) -> None:
        self.cursor = after
        self._ends_at = ends_at
        self._limit: asyncio.Timeout | None = None
        self._tail = tail
        self._log = log
        self._wanted = wanted
        self._heartbeat = heartbeat
        self._rest = memoryview(b"")
        self._opened = False
        self._delays = _delays()

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send within this; it raises `TimeoutError` soon after the service has begun to stop."""
        async with asyncio.timeout(_STOP_SECONDS if self._tail.closed else None) as limit:
            self._limit = limit
            try:
                yield
            finally:
                self._limit = None

    def hurry(self) -> None:
        """See `Follower.hurry`."""
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + _STOP_SECONDS)

    async def next(self) -> bytes | None:
        """Give what to send next, of bounded size, when there is something; None: the stream is over, or the service stops."""
        if not self._rest:
            content = await self._more()
            if content is None or len(content) <= PIECE_BYTES:
                return content
            self._rest = memoryview(content)
        piece, self._rest = self._rest[:PIECE_BYTES], self._rest[PIECE_BYTES:]
        return bytes(piece)

    async def _more(self) -> bytes | None:
        """Give events, or a heartbeat after so many seconds without; its id tells how far the log was searched."""
        if not self._opened:
            self._opened = True
            return position_message(self.cursor, "the stream is open")
        loop = asyncio.get_running_loop()
        until = min(loop.time() + self._heartbeat, self._ends_at)
        waiting = True
        while waiting and not self._is_over():
            if self._tail.ring.is_past(self.cursor):
                content = await self._from_log(until)
                waiting = loop.time() < until
            else:
                content = self._from_ring()
                waiting = bool(content) or await self._tail.changed(until)
            if content:
                return content
        return None if self._is_over() else position_message(self.cursor, "heartbeat")

    def _is_over(self) -> bool:
        return self._tail.closed or asyncio.get_running_loop().time() >= self._ends_at

    def _from_ring(self) -> bytes:
        content, self.cursor = self._tail.ring.take(self.cursor, self._wanted.schema, self._wanted.matches)
        self._tail.took()
        return content

    async def _from_log(self, until: float) -> bytes:
        """Give the wanted events of the next page, or at least its end; nothing if it cannot be read for now."""
        try:
            found = await self._log.read(self.cursor, self._wanted.filters, self._wanted.schema, until)
        except (DatabaseUnavailable, Overloaded):
            now = asyncio.get_running_loop().time()
            await asyncio.sleep(min(next(self._delays), max(until - now, 0.0)))
            return b""
        self._delays = _delays()
        if found is None:
            return b""
        content, self.cursor = found
        return content


def _delays() -> Iterator[float]:
    return backoff(first=0.1, limit=5.0)
