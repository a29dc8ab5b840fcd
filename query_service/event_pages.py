"""Pages of the event log, filtered; read from the log itself, so always current."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Subquery,
    Text,
    cast,
    func,
    literal,
    literal_column,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import fetch_all
from shared.event_log.events import Position, RecordedEvent, StreamId
from shared.event_log.reader import RECORDED_COLUMNS, PostgresEventLog, recorded
from shared.event_log.tables import events

_PAGE_BYTES = 4 * 1024 * 1024
"""Where a page ends though its limit is not reached, in bytes of JSON; at least one event is on it."""

_LAST = Position(2**63 - 1)
# The key is no parameter: in a generic plan, the index on this very expression would not be found.
_CORRELATION_ID: ColumnElement[str] = events.c.metadata.op("->>", return_type=Text())(
    literal_column("'correlation_id'")
)


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
        walks = self._walks(Position(0), head, filters)
        each = [
            select(events.c.position).where(*walk.within).order_by(*(key.desc() for key in walk.keys)).limit(limit)
            for walk in walks
        ]
        found = union_all(*(select(one.subquery()) for one in each)).subquery()
        newest = select(found.c.position).order_by(found.c.position.desc()).limit(limit).subquery()
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
        size = _text_bytes(events.c.event_data) + _text_bytes(events.c.metadata)
        columns = (events.c.position, size.label("size"))
        each = [
            select(*columns).where(*walk.within).order_by(*walk.keys).limit(limit)
            for walk in self._walks(after, _LAST, filters)
        ]
        found = union_all(*(select(one.subquery()) for one in each)).subquery()
        return select(found).order_by(found.c.position).limit(limit).subquery()

    def _walks(self, after: Position, last: Position, filters: EventFilters) -> "list[_Walk]":
        """Give ordered walks of an index, one of them for each type, that together find the wanted events.

        They are ranges of all of the index's columns, which no other index can give in order: so wherever in the log the
        events are, none of the others is looked at.
        """
        row = events.c
        types = sorted(set(filters.event_types or ()))
        of_types: list[ColumnElement[bool]] = [] if filters.event_types is None else [row.event_type.in_(types)]
        if filters.aggregate_id is not None:
            of_aggregate = [row.aggregate_type.in_(self._aggregate_types), row.aggregate_id == filters.aggregate_id]
            of_story = [] if filters.correlation_id is None else [_CORRELATION_ID.in_([filters.correlation_id])]
            between = [row.position > after, row.position <= last]
            return [_Walk([*of_aggregate, *of_types, *of_story, *between], [row.position])]
        if filters.correlation_id is not None:
            walk = _range([_CORRELATION_ID, row.position], filters.correlation_id, after, last)
            return [_Walk([*walk.within, *of_types], walk.keys)]
        if filters.event_types is not None:
            return [_range([row.event_type, row.position], one, after, last) for one in types]
        return [_Walk([row.position > after, row.position <= last], [row.position])]


class _Walk(NamedTuple):
    """Which events, and the order of the index that finds them."""

    within: "Sequence[ColumnElement[bool]]"
    keys: "Sequence[ColumnElement[Any]]"


def _range(keys: "Sequence[ColumnElement[Any]]", value: str, after: Position, last: Position) -> _Walk:
    found = tuple_(*keys)
    return _Walk(
        [
            found > tuple_(literal(value), literal(after, BigInteger)),
            found <= tuple_(literal(value), literal(last, BigInteger)),
        ],
        keys,
    )


def _text_bytes(column: "ColumnElement[Any]") -> "ColumnElement[int]":
    """Give the bytes of a document as they will be in memory; as stored, they may be far fewer."""
    return func.octet_length(cast(column, Text))
