"""Pages of the event log, filtered; read from the log itself, so always current."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import fetch_all
from shared.event_log.events import Position, RecordedEvent
from shared.event_log.reader import RECORDED_COLUMNS, PostgresEventLog, recorded
from shared.event_log.tables import events


@dataclass(frozen=True, slots=True)
class EventFilters:
    """Which events are wanted; None: any."""

    event_types: Collection[str] | None = None
    aggregate_id: UUID | None = None
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order; the log was searched up to `searched`, and stood at least at `head`."""

    events: Sequence[RecordedEvent]
    searched: Position
    head: Position


class EventPages:
    """Searches the log; `aggregate_types` are those whose streams can be asked for by id alone."""

    def __init__(self, engine: AsyncEngine, aggregate_types: Collection[str]) -> None:
        self._engine = engine
        self._log = PostgresEventLog(engine)
        self._aggregate_types = aggregate_types

    async def read(self, after: Position, limit: int, filters: EventFilters) -> EventPage:
        """Give up to `limit` of the wanted events past a position.

        Raises `DatabaseUnavailable` and `Overloaded`.
        """
        head = await self._log.head()
        found = [recorded(row) for row in await fetch_all(self._engine, self.query(after, limit, filters))]
        if len(found) == limit:
            return EventPage(found, found[-1].position, head)
        last = found[-1].position if found else after
        return EventPage(found, max(head, last, after), head)

    async def read_last(self, limit: int, filters: EventFilters) -> EventPage:
        """Give the last `limit` of the wanted events. Raises as `read`."""
        head = await self._log.head()
        query = RECORDED_COLUMNS.where(events.c.position <= head, *self._conditions(filters))
        rows = await fetch_all(self._engine, query.order_by(events.c.position.desc()).limit(limit))
        return EventPage([recorded(row) for row in reversed(rows)], head, head)

    def query(self, after: Position, limit: int, filters: EventFilters) -> Select[Any]:
        """Make the statement that reads a page."""
        query = RECORDED_COLUMNS.where(events.c.position > after, *self._conditions(filters))
        return query.order_by(events.c.position).limit(limit)

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
