"""Reading the log for a client that is behind the ring."""

import asyncio

from query_service.event_pages import EventFilters, EventPages
from query_service.event_ring import Taken
from query_service.event_tail import PAGE_BYTES, PAGE_EVENTS
from query_service.rendered_events import Schema, position_message, render_as
from shared.event_log.events import Position
from shared.event_log.registry import EventRegistry


class CatchingUp:
    """Reads pages for clients, for a few of them at once; the others wait for their turn."""

    def __init__(self, pages: EventPages, events: EventRegistry, at_once: int) -> None:
        self._pages = pages
        self._events = events
        self._turns = asyncio.Semaphore(at_once)

    async def read(self, after: Position, filters: EventFilters, schema: Schema, until: float) -> Taken | None:
        """Give the wanted events of the next page; None if there was no turn until then, in the event loop's time.

        Raises `DatabaseUnavailable` and `Overloaded`.
        """
        try:
            async with asyncio.timeout_at(until):
                await self._turns.acquire()
        except TimeoutError:
            return None
        try:
            page = await self._pages.read(after, PAGE_EVENTS, filters, PAGE_BYTES)
        finally:
            self._turns.release()
        pieces, size = [], 0
        for event in page.events:
            pieces.append(render_as(event, schema, self._events))
            after, size = event.position, size + len(pieces[-1])
            if size >= PAGE_BYTES:
                return Taken(b"".join(pieces), after)
        if page.searched > after:
            pieces.append(position_message(page.searched, "nothing else up to here"))
        return Taken(b"".join(pieces), page.searched)
