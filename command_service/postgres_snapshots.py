"""Snapshots in PostgreSQL, in the event log's database."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Integer,
    Select,
    SmallInteger,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    column,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.snapshots import Snapshot, Stored
from shared.database import sqlstate, translate_errors
from shared.driver import Record, fetch_records
from shared.errors import DatabaseUnavailable
from shared.event_log.events import StreamId, Version
from shared.event_log.reader import RECORDED_COLUMNS, PostgresEventLog, recorded
from shared.event_log.tables import events, snapshots
from shared.grouped_reads import GroupedReads

_LAST_VERSION = 2**31 - 1

_MOST_STREAMS = 16
"""Of one statement: without snapshots, streams may be long."""

_Kind = tuple[str, int]
"""What loads that share a statement have in common: the aggregate type, and the version of its state's schema."""


class PostgresSnapshotStore:
    """Reads snapshots and the events from them on, and saves them, of many streams in one statement."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._log = PostgresEventLog(engine)
        self._loads = GroupedReads[_Kind, Sequence[Record]](self._read, _MOST_STREAMS)

    async def load(self, stream: StreamId, state_schema_version: int) -> Stored:
        """See `SnapshotStore.load`."""
        rows = await self._loads.fetch((stream.aggregate_type, state_schema_version), stream.aggregate_id)
        if not rows:
            # No such stream; or its snapshot is ahead of it, left over from another log.
            return Stored(None, await self._log.read_stream(stream))
        version, state = rows[0].version, rows[0].state
        snapshot = None
        if state is not None:
            last_event_id = rows[0].last_event_id
            snapshot = Snapshot(stream, Version(version), state.encode(), state_schema_version, last_event_id)
        return Stored(snapshot, [recorded(row) for row in rows])

    async def save(self, snapshots: Sequence[Snapshot]) -> None:
        """See `SnapshotStore.save`."""
        # In one order everywhere, so that processes that save the same streams do not lock each other out.
        snapshots = sorted(snapshots, key=lambda snapshot: snapshot.stream)
        values = {
            "types": [snapshot.stream.aggregate_type for snapshot in snapshots],
            "ids": [snapshot.stream.aggregate_id for snapshot in snapshots],
            "versions": [snapshot.version for snapshot in snapshots],
            "states": [snapshot.state.decode() for snapshot in snapshots],
            "schema_versions": [snapshot.state_schema_version for snapshot in snapshots],
            "last_event_ids": [snapshot.last_event_id for snapshot in snapshots],
        }
        try:
            with translate_errors():
                async with self._engine.connect() as connection:
                    await connection.execute(_SAVE, values)
        except DBAPIError as error:
            raise DatabaseUnavailable(f"the database does not take snapshots ({sqlstate(error)})") from error

    async def _read(self, kind: _Kind, ids: Sequence[UUID]) -> Mapping[UUID, Sequence[Record]]:
        aggregate_type, schema_version = kind
        parameters = {"aggregate_type": aggregate_type, "schema_version": schema_version, "ids": ids}
        found: dict[UUID, list[Record]] = {one: [] for one in ids}
        for row in await fetch_records(self._engine, _STORED, parameters):
            found[row.aggregate_id].append(row)
        return found


def _stored() -> Select[Any]:
    aggregate_type = bindparam("aggregate_type", type_=Text)
    ids = select(func.unnest(bindparam("ids", type_=ARRAY(Uuid))).label("aggregate_id")).subquery()
    own_event = (
        select(events.c.event_id)
        .where(
            events.c.aggregate_type == aggregate_type,
            events.c.aggregate_id == snapshots.c.aggregate_id,
            events.c.version == snapshots.c.version,
        )
        .scalar_subquery()
    )
    snapshot = (
        select(snapshots.c.version, cast(snapshots.c.state, Text).label("state"), snapshots.c.last_event_id)
        .where(
            snapshots.c.aggregate_type == aggregate_type,
            snapshots.c.aggregate_id == ids.c.aggregate_id,
            snapshots.c.state_schema_version == bindparam("schema_version"),
            or_(snapshots.c.last_event_id.is_(None), snapshots.c.last_event_id == own_event),
        )
        .lateral()
    )
    since = RECORDED_COLUMNS.where(
        events.c.aggregate_type == aggregate_type,
        events.c.aggregate_id == ids.c.aggregate_id,
        # With both ends, the planner takes the range for a small part of the stream, which it is.
        events.c.version.between(func.coalesce(snapshot.c.version, 1), _LAST_VERSION),
    ).lateral()
    state = case((since.c.version == snapshot.c.version, snapshot.c.state)).label("state")
    return (
        select(since, state, snapshot.c.last_event_id)
        .select_from(ids.outerjoin(snapshot, true()).join(since, true()))
        .order_by(since.c.aggregate_id, since.c.version)
    )


_STORED = _stored()
"""Built once: to build it anew takes SQLAlchemy several times as long as to run it."""

_NEW = (
    func.unnest(
        bindparam("types", type_=ARRAY(Text)),
        bindparam("ids", type_=ARRAY(Uuid)),
        bindparam("versions", type_=ARRAY(Integer)),
        bindparam("states", type_=ARRAY(Text)),
        bindparam("schema_versions", type_=ARRAY(SmallInteger)),
        bindparam("last_event_ids", type_=ARRAY(Uuid)),
    )
    .table_valued(
        column("aggregate_type", Text),
        column("aggregate_id", Uuid),
        column("version", Integer),
        column("state", Text),
        column("state_schema_version", SmallInteger),
        column("last_event_id", Uuid),
    )
    .render_derived()
)
_INSERT = insert(snapshots).from_select(
    ["aggregate_type", "aggregate_id", "version", "state", "state_schema_version", "last_event_id"],
    select(
        _NEW.c.aggregate_type,
        _NEW.c.aggregate_id,
        _NEW.c.version,
        cast(_NEW.c.state, JSONB),
        _NEW.c.state_schema_version,
        _NEW.c.last_event_id,
    ),
)
_SAVE = _INSERT.on_conflict_do_update(
    index_elements=[snapshots.c.aggregate_type, snapshots.c.aggregate_id],
    set_={
        "version": _INSERT.excluded.version,
        "state": _INSERT.excluded.state,
        "state_schema_version": _INSERT.excluded.state_schema_version,
        "last_event_id": _INSERT.excluded.last_event_id,
        "taken_at": func.clock_timestamp(),
    },
    where=or_(
        _INSERT.excluded.version >= snapshots.c.version,
        _INSERT.excluded.state_schema_version != snapshots.c.state_schema_version,
    ),
)
