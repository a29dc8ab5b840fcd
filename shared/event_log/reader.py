"""The reading side of the log."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

from sqlalchemy import ARRAY, BigInteger, Integer, Select, Text, any_, bindparam, cast, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.driver import Record, fetch_records
from shared.event_log.events import EventId, Position, RecordedEvent, StreamId, Version
from shared.event_log.tables import events


class EventLog(Protocol):
    """What can be read from a log; every store gives it, PostgreSQL's and the one in memory, and JetStream."""

    async def read_stream(self, stream: StreamId, after_version: Version = Version(0)) -> Sequence[RecordedEvent]:
        """Give the stream's events past a version, in order; none if the stream does not exist."""
        ...

    async def read_all(
        self,
        after_position: Position,
        limit: int,
        types: Collection[str] | None = None,
        max_bytes: int | None = None,
    ) -> Sequence[RecordedEvent]:
        """Give up to `limit` events past a position, in order, of the given types (default: all).

        With `max_bytes`, the one whose JSON brings them to so many bytes is the last.
        """
        ...

    async def touched(self, after: Position, upto: Position) -> frozenset[StreamId]:
        """Give the streams of the events past one position and up to another."""
        ...

    async def head(self) -> Position:
        """Give the position of the last event; 0 for an empty log."""
        ...


class PostgresEventLog:
    """The log in PostgreSQL; each read is one statement. All raise `DatabaseUnavailable`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def read_stream(self, stream: StreamId, after_version: Version = Version(0)) -> Sequence[RecordedEvent]:
        """See `EventLog.read_stream`."""
        of_stream = {"aggregate_type": stream.aggregate_type, "aggregate_id": stream.aggregate_id}
        return await self._read(_STREAM, {**of_stream, "after_version": after_version})

    async def read_all(
        self,
        after_position: Position,
        limit: int,
        types: Collection[str] | None = None,
        max_bytes: int | None = None,
    ) -> Sequence[RecordedEvent]:
        """See `EventLog.read_all`."""
        parameters: dict[str, object] = {"after_position": after_position, "limit": limit}
        if max_bytes is not None:
            parameters["max_bytes"] = max_bytes
        if types is not None:
            parameters["types"] = list(types)
        return await self._read(_past(is_bounded=max_bytes is not None, of_types=types is not None), parameters)

    async def find_event(self, event_id: EventId) -> RecordedEvent | None:
        """Give the event of this id, wherever it is in the log."""
        found = await self._read(_EVENT, {"event_id": event_id})
        return found[0] if found else None

    async def touched(self, after: Position, upto: Position) -> frozenset[StreamId]:
        """See `EventLog.touched`."""
        rows = await fetch_records(self._engine, _TOUCHED, {"after_position": after, "upto": upto})
        return frozenset(StreamId(*row) for row in rows)

    async def head(self) -> Position:
        """See `EventLog.head`."""
        (row,) = await fetch_records(self._engine, _HEAD)
        return Position(row[0])

    async def _read(self, query: Select[Any], parameters: Mapping[str, object] | None = None) -> list[RecordedEvent]:
        return [recorded(row) for row in await fetch_records(self._engine, query, parameters)]


# JSON travels as text: whoever needs an object decodes it straight into its class.
RECORDED_COLUMNS = select(
    events.c.position,
    events.c.aggregate_type,
    events.c.aggregate_id,
    events.c.version,
    events.c.event_type,
    events.c.schema_version,
    events.c.event_id,
    cast(events.c.event_data, Text).label("event_data"),
    cast(events.c.metadata, Text).label("metadata"),
    events.c.occurred_at,
    events.c.recorded_at,
)

# Built once: to build a query anew takes SQLAlchemy several times as long as to run it.
_STREAM = RECORDED_COLUMNS.where(
    events.c.aggregate_type == bindparam("aggregate_type"),
    events.c.aggregate_id == bindparam("aggregate_id"),
    events.c.version > bindparam("after_version"),
).order_by(events.c.version)

_EVENT = RECORDED_COLUMNS.where(events.c.event_id == bindparam("event_id"))

_TOUCHED = (
    select(events.c.aggregate_type, events.c.aggregate_id)
    .where(events.c.position > bindparam("after_position"), events.c.position <= bindparam("upto"))
    .distinct()
)

_HEAD = select(func.coalesce(func.max(events.c.position), 0))


@cache
def _past(*, is_bounded: bool, of_types: bool) -> Select[Any]:
    past = (
        RECORDED_COLUMNS.where(events.c.position > bindparam("after_position"))
        .order_by(events.c.position)
        .limit(bindparam("limit", type_=Integer))
    )
    if of_types:
        past = past.where(events.c.event_type == any_(bindparam("types", type_=ARRAY(Text))))
    return _within(past) if is_bounded else past


def _within(past: Select[Any]) -> Select[Any]:
    """Bound what is read in bytes, as they will be in memory: as stored, they may be far fewer."""
    read = past.subquery()
    size = func.octet_length(read.c.event_data) + func.octet_length(read.c.metadata)
    before = func.sum(size).over(order_by=read.c.position, rows=(None, 0)) - size
    sized = select(read, before.label("before")).subquery()
    columns = [sized.c[column.name] for column in read.c]
    within = sized.c.before < bindparam("max_bytes", type_=BigInteger)
    return select(*columns).where(within).order_by(sized.c.position)


def recorded(row: Sequence[Any] | Record) -> RecordedEvent:
    """Build from a row that starts with `RECORDED_COLUMNS`."""
    return RecordedEvent(row[0], StreamId(row[1], row[2]), *row[3:11])
