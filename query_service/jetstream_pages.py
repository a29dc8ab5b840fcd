"""Pages of the event log in JetStream, which finds events by position and by aggregate, and by nothing else."""

from collections.abc import Callable, Collection, Iterable
from itertools import chain

from query_service.event_pages import MAX_BYTES, EventFilters, EventPage, EventPages, EventTraits
from shared.event_log.events import Position, RecordedEvent, StreamId
from shared.jetstream.errors import StreamUnavailable
from shared.jetstream.log import JetStreamEventLog

_SEARCHED_AT_ONCE = 1000
_SEARCHED = 20_000
"""How many events are looked at for a page that is not full, once there is one on it."""


class JetStreamEventPages(EventPages):
    """Reads the stream on from a position, or an aggregate's events; what else is wanted of them is told in memory."""

    def __init__(self, log: JetStreamEventLog, aggregate_types: Collection[str]) -> None:
        super().__init__(aggregate_types)
        self._log = log

    async def head(self) -> Position:
        """See `EventPages.head`."""
        return await self._log.head()

    async def read(self, after: Position, limit: int, filters: EventFilters, max_bytes: int = MAX_BYTES) -> EventPage:
        """See `EventPages.read`."""
        head = await self._log.head()
        page = _Page(after, limit, max_bytes)
        wanted = self.matching(filters)
        if filters.aggregate_id is not None:
            streams = [StreamId(one, filters.aggregate_id) for one in self._aggregate_types]
            events = chain.from_iterable([await self._log.read_stream(stream) for stream in streams])
            page.add(sorted(event for event in events if event.position > after), wanted)
            page.searched = page.searched if page.is_full else max(page.searched, head)
        while page.searched < head and not (page.is_full or page.looked_at > _SEARCHED):
            at_once = limit if wanted is None else _SEARCHED_AT_ONCE
            if not (some := await self._log.read_all(page.searched, at_once, max_bytes=max_bytes)):
                raise StreamUnavailable(f"the stream ends before position {head}, which it had")
            page.add(some, wanted)
        return EventPage(page.events, page.searched, head)


class _Page:
    """A page on its way: the wanted events so far, and how far the log was searched for them."""

    def __init__(self, after: Position, limit: int, max_bytes: int) -> None:
        self.events: list[RecordedEvent] = []
        self.searched = after
        self.looked_at = 0
        self.is_full = False
        self._limit = limit
        self._max_bytes = max_bytes
        self._size = 0

    def add(self, events: Iterable[RecordedEvent], wanted: Callable[[EventTraits], bool] | None) -> None:
        """Take those that are wanted, until the page is full."""
        for event in events:
            self.searched = event.position
            self.looked_at += 1
            if wanted is None or wanted(EventTraits.of(event)):
                self.events.append(event)
                self._size += event.size
                if len(self.events) == self._limit or self._size >= self._max_bytes:
                    self.is_full = True
                    return
