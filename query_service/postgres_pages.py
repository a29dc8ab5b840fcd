"""Pages of the event log in PostgreSQL, found by its indexes."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

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

from query_service.event_pages import MAX_BYTES, EventFilters, EventPage, EventPages
from shared.database import fetch_all
from shared.event_log.events import Position
from shared.event_log.reader import RECORDED_COLUMNS, PostgresEventLog, recorded
from shared.event_log.tables import events

_LAST = Position(2**63 - 1)
# The key is no parameter: in a generic plan, the index on this very expression would not be found.
_CORRELATION_ID: ColumnElement[str] = events.c.metadata.op("->>", return_type=Text())(
    literal_column("'correlation_id'")
)


class PostgresEventPages(EventPages):
    """Reads the log itself, so what it gives is always current."""

    def __init__(self, engine: AsyncEngine, aggregate_types: Collection[str]) -> None:
        super().__init__(aggregate_types)
        self._engine = engine
        self._log = PostgresEventLog(engine)

    async def head(self) -> Position:
        """See `EventPages.head`."""
        return await self._log.head()

    async def read(self, after: Position, limit: int, filters: EventFilters, max_bytes: int = MAX_BYTES) -> EventPage:
        """See `EventPages.read`."""
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

    def query(self, after: Position, limit: int, filters: EventFilters, max_bytes: int = MAX_BYTES) -> Select[Any]:
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
