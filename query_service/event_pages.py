"""Pages of the event log, filtered: what is asked for, what is given, and what any source of events gives."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from shared.event_log.events import Position, RecordedEvent, StreamId

MAX_BYTES = 4 * 1024 * 1024
"""Where a page ends though its limit is not reached, in bytes of JSON; at least one event is on it."""


@dataclass(frozen=True, slots=True)
class EventFilters:
    """Which events are wanted; None: any."""

    event_types: Collection[str] | None = None
    aggregate_id: UUID | None = None
    correlation_id: str | None = None


class EventTraits(NamedTuple):
    """What filters look at in an event."""

    event_type: str
    stream: StreamId
    correlation_id: str | None

    @classmethod
    def of(cls, event: RecordedEvent) -> "EventTraits":
        """Give those of an event."""
        metadata = json.loads(event.metadata)
        correlation_id = metadata.get("correlation_id") if isinstance(metadata, dict) else None
        if correlation_id is not None and not isinstance(correlation_id, str):
            correlation_id = json.dumps(correlation_id)
        return cls(event.event_type, event.stream, correlation_id)


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order; the log was searched up to `searched`, and stood at least at `head`."""

    events: Sequence[RecordedEvent]
    searched: Position
    head: Position


class EventPages(ABC):
    """Searches the log; `aggregate_types` are those whose streams can be asked for by id alone.

    Pages are bounded in bytes too (invariant I10). All methods raise `DatabaseUnavailable` and `Overloaded`.
    """

    def __init__(self, aggregate_types: Collection[str]) -> None:
        self._aggregate_types = aggregate_types

    @abstractmethod
    async def head(self) -> Position:
        """Give the position of the last event; 0 for an empty log."""

    @abstractmethod
    async def read(self, after: Position, limit: int, filters: EventFilters, max_bytes: int = MAX_BYTES) -> EventPage:
        """Give up to `limit` of the wanted events past a position; none only if there are no more so far."""

    def matching(self, filters: EventFilters) -> Callable[[EventTraits], bool] | None:
        """Give what tells of an event in memory what a page's conditions tell in the log; None if all are wanted."""
        if filters == EventFilters():
            return None
        event_types = None if filters.event_types is None else frozenset(filters.event_types)
        aggregate_types, aggregate_id = frozenset(self._aggregate_types), filters.aggregate_id

        def matches(event: EventTraits) -> bool:
            if event_types is not None and event.event_type not in event_types:
                return False
            if aggregate_id is not None and event.stream.aggregate_id != aggregate_id:
                return False
            if aggregate_id is not None and event.stream.aggregate_type not in aggregate_types:
                return False
            return filters.correlation_id is None or event.correlation_id == filters.correlation_id

        return matches
