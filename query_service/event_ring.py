"""The last events of the log, kept in memory for all who follow it (I10)."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import attrgetter, itemgetter
from typing import NamedTuple

from query_service.event_pages import EventTraits
from query_service.rendered_events import RenderedEvent, Schema
from shared.event_log.events import Position

PIECE_BYTES = 64 * 1024
"""How much is given at once; one event that is larger comes alone."""
_SHARED = 8
"""Pieces kept for those who are at the same place."""

_position = attrgetter("position")
_BY_SCHEMA = {"current": itemgetter(2), "stored": itemgetter(3)}


class Taken(NamedTuple):
    """Some events, joined, and the position up to which there are no others that are wanted."""

    content: bytes
    cursor: Position


class EventRing:
    """Every event past `start` and up to `end`, bounded in bytes: what comes in drives the oldest out.

    Clients have only a cursor: what they have not taken in time is gone from here, not from the log. Both ends are
    None while nobody follows.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._events: list[RenderedEvent] = []
        self._shared: dict[tuple[Position, Schema], Taken] = {}
        self.start: Position | None = None
        self.end: Position | None = None

    @property
    def size(self) -> int:
        """The memory that its events take, in bytes."""
        return self._size

    def restart(self, position: Position | None) -> None:
        """Drop everything, and begin behind a position; None: nobody follows."""
        self._events.clear()
        self._shared.clear()
        self._size = 0
        self.start = self.end = position

    def extend(self, events: Sequence[RenderedEvent], end: Position) -> None:
        """Add the events past `end` as it was, up to a new one, and drop the oldest that are too many."""
        self._shared.clear()
        self._events += events
        self._size += sum(event.size for event in events)
        self.end = end
        dropped, freed = self._excess(0)
        if dropped:
            self.start = self._events[dropped - 1].position
            self._size -= freed
            del self._events[:dropped]

    def dropped_by(self, more: int) -> Position | None:
        """Give the position up to which so many bytes more drive events out; None: none."""
        dropped, _ = self._excess(more)
        return self._events[dropped - 1].position if dropped else None

    def is_past(self, position: Position) -> bool:
        """Tell whether events that follow a position are no longer here."""
        return self.start is not None and position < self.start

    def take(self, after: Position, schema: Schema, wanted: Callable[[EventTraits], bool] | None = None) -> Taken:
        """Give the wanted events past a position that it is not past, as many as make a piece.

        Those who want all, and have come equally far, are given the same object.
        """
        if wanted is not None:
            return self._join(after, schema, wanted)
        taken = self._shared.get((after, schema))
        if taken is None:
            if len(self._shared) == _SHARED:
                self._shared.clear()
            taken = self._shared[after, schema] = self._join(after, schema, None)
        return taken

    def _join(self, after: Position, schema: Schema, wanted: Callable[[EventTraits], bool] | None) -> Taken:
        text = _BY_SCHEMA[schema]
        pieces: list[bytes] = []
        size = 0
        cursor = max(after, self.end or after)
        for index in range(bisect_right(self._events, after, key=_position), len(self._events)):
            event = self._events[index]
            if wanted is not None and not wanted(event.traits):
                continue
            piece: bytes = text(event)
            size += len(piece)
            if size > PIECE_BYTES and pieces:
                cursor = Position(event.position - 1)
                break
            pieces.append(piece)
        return Taken(b"".join(pieces), cursor)

    def _excess(self, more: int) -> tuple[int, int]:
        """Give how many of the oldest events must go for so many bytes more, and the bytes that they take."""
        freed = dropped = 0
        while dropped < len(self._events) and self._size - freed + more > self._limit:
            freed += self._events[dropped].size
            dropped += 1
        return dropped, freed
