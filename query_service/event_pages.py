"""Pages of the event log, filtered; read from the log itself, so always current."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Subquery, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import fetch_all
from shared.event_log.events import Position, RecordedEvent, StreamId
from shared.event_log.reader import RECORDED_COLUMNS, PostgresEventLog, recorded
from shared.event_log.tables import events

_PAGE_BYTES = 4 * 1024 * 1024
"""Where a page ends though its limit is not reached, in bytes as stored; at least one event is on it."""


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


class EventPages:
    """Searches the log; `aggregate_types` are those whose streams can be asked for by id alone.

    Pages are bounded in bytes too (invariant I10). All methods raise `DatabaseUnavailable` and `Overloaded`.
    """

    def __init__(self, engine: AsyncEngine, aggregate_types: Collection[str]) -> None:
        self._engine = engine
        self._log = PostgresEventLog(engine)
        self._aggregate_types = aggregate_types

    async def head(self) -> Position:
        """Give the position of the last event; 0 for an empty log."""
        return await self._log.head()

    async def read(self, after: Position, limit: int, filters: EventFilters, max_bytes: int = _PAGE_BYTES) -> EventPage:
        """Give up to `limit` of the wanted events past a position."""
        head = await self._log.head()
        rows = await fetch_all(self._engine, self.query(after, limit, filters, max_bytes))
        found = [recorded(row) for row in rows]
        if found and (len(found) == limit or len(found) < rows[0].available):
            return EventPage(found, found[-1].position, head)
        last = found[-1].position if found else after
        return EventPage(found, max(head, last, after), head)

    async def read_last(self, limit: int, filters: EventFilters) -> EventPage:
        """Give the last `limit` of the wanted events."""
        head = await self._log.head()
        wanted = select(events.c.position).where(events.c.position <= head, *self._conditions(filters))
        newest = wanted.order_by(events.c.position.desc()).limit(limit).subquery()
        query = RECORDED_COLUMNS.join(newest, newest.c.position == events.c.position).order_by(events.c.position)
        return EventPage([recorded(row) for row in await fetch_all(self._engine, query)], head, head)

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

    def query(self, after: Position, limit: int, filters: EventFilters, max_bytes: int = _PAGE_BYTES) -> Select[Any]:
        """Make the statement that reads a page: positions and sizes first, then the events that fit."""
        wanted = self._wanted(after, limit, filters)
        sizes = select(
            wanted.c.position,
            func.count().over().label("available"),
            (func.sum(wanted.c.size).over(order_by=wanted.c.position) - wanted.c.size).label("before"),
        ).subquery()
        return (
            RECORDED_COLUMNS.add_columns(sizes.c.available)
            .join(sizes, sizes.c.position == events.c.position)
            .where(sizes.c.before < max_bytes)
            .order_by(events.c.position)
        )

    def _wanted(self, after: Position, limit: int, filters: EventFilters) -> Subquery:
        """Give positions and sizes of the wanted events."""
        size = (func.pg_column_size(events.c.event_data) + func.pg_column_size(events.c.metadata)).label("size")
        query = select(events.c.position, size).where(events.c.position > after, *self._conditions(filters))
        query = query.order_by(events.c.position).limit(limit)
        types = sorted(set(filters.event_types or ()))
        if len(types) > 1 and filters.aggregate_id is None and filters.correlation_id is None:
            # One ordered walk of the index for each type: together they would be found by a walk through the log.
            each = [query.where(events.c.event_type == one).subquery() for one in types]
            found = union_all(*(select(one) for one in each)).subquery()
            return select(found).order_by(found.c.position).limit(limit).subquery()
        return query.subquery()

    def _conditions(self, filters: EventFilters) -> "list[ColumnElement[bool]]":
        conditions: list[ColumnElement[Any]] = []
        if filters.event_types is not None:
            conditions.append(events.c.event_type.in_(filters.event_types))
        if filters.aggregate_id is not None:
            conditions.append(events.c.aggregate_type.in_(self._aggregate_types))
            conditions.append(events.c.aggregate_id == filters.aggregate_id)
        if filters.correlation_id is not None:
            conditions.append(events.c.metadata["correlation_id"].astext == filters.correlation_id)
        return conditions
