"""The streams of this process, all fed from one tail of the log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf

from query_service.catching_up import CatchingUp
from query_service.event_pages import EventFilters, EventPages
from query_service.event_ring import EventRing
from query_service.event_stream import EventStream, Wanted
from query_service.event_tail import EventTail
from query_service.rendered_events import Schema
from shared.event_log.events import Position
from shared.event_log.registry import EventRegistry

_CATCHING_UP = 2
"""Clients that read pages of the log at once."""
CONNECTIONS = 1 + _CATCHING_UP
"""What the tail and they use."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Clients at once, memory for the last events, and seconds."""

    clients: int
    ring_bytes: int
    heartbeat: float
    stall: float
    poll_interval: float


class EventStreams:
    """Makes streams; `tail` is to be run beside them."""

    def __init__(self, pages: EventPages, events: EventRegistry, limits: StreamLimits) -> None:
        self.limits = limits
        self.tail = EventTail(
            pages,
            events,
            EventRing(limits.ring_bytes),
            max_followers=limits.clients,
            poll_interval=limits.poll_interval,
        )
        self._pages = pages
        self._log = CatchingUp(pages, events, _CATCHING_UP)

    @asynccontextmanager
    async def stream(
        self, after: Position | None, filters: EventFilters, schema: Schema, ends_at: float = inf
    ) -> AsyncIterator[EventStream]:
        """Give a stream of the events past a position (None: past the last one there is) while this lasts.

        The client is given nothing more from `ends_at` on, by the event loop's clock.
        Raises `Overloaded` and `DatabaseUnavailable`.
        """
        wanted = Wanted(filters, self._pages.matching(filters), schema)
        stream = EventStream(self.tail, self._log, wanted, after or Position(0), self.limits.heartbeat, ends_at)
        with self.tail.followed_by(stream):
            if after is None:
                stream.cursor = await self._pages.head()
            yield stream
