"""Snapshots in PostgreSQL, in the event log's database."""

from collections.abc import Sequence
from typing import Any

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
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.snapshots import Snapshot, Stored
from shared.database import fetch_all, sqlstate, translate_errors
from shared.errors import DatabaseUnavailable
from shared.event_log.events import StreamId, Version
from shared.event_log.reader import RECORDED_COLUMNS, PostgresEventLog, recorded
from shared.event_log.tables import events, snapshots

_LAST_VERSION = 2**31 - 1


class PostgresSnapshotStore:
    """Reads a snapshot and the events from it on in one statement; saves many in one."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._log = PostgresEventLog(engine)

    async def load(self, stream: StreamId, state_schema_version: int) -> Stored:
        """See `SnapshotStore.load`."""
        parameters = {
            "aggregate_type": stream.aggregate_type,
            "aggregate_id": stream.aggregate_id,
            "schema_version": state_schema_version,
        }
        rows = await fetch_all(self._engine, _STORED, parameters)
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


def _stored() -> Select[Any]:
    aggregate_type, aggregate_id = bindparam("aggregate_type", type_=Text), bindparam("aggregate_id", type_=Uuid)
    own_event = (
        select(events.c.event_id)
        .where(
            events.c.aggregate_type == aggregate_type,
            events.c.aggregate_id == aggregate_id,
            events.c.version == snapshots.c.version,
        )
        .scalar_subquery()
    )
    snapshot = (
        select(snapshots.c.version, cast(snapshots.c.state, Text).label("state"), snapshots.c.last_event_id)
        .where(
            snapshots.c.aggregate_type == aggregate_type,
            snapshots.c.aggregate_id == aggregate_id,
            snapshots.c.state_schema_version == bindparam("schema_version"),
            or_(snapshots.c.last_event_id.is_(None), snapshots.c.last_event_id == own_event),
        )
        .cte("snapshot")
        .prefix_with("MATERIALIZED")
    )
    # Uncorrelated, so each is found once, before the events are: they are searched by index from there on.
    version = select(snapshot.c.version).scalar_subquery()
    state = select(snapshot.c.state).scalar_subquery()
    last_event_id = select(snapshot.c.last_event_id).scalar_subquery()
    return (
        RECORDED_COLUMNS.add_columns(
            case((events.c.version == version, state)).label("state"), last_event_id.label("last_event_id")
        )
        .where(
            events.c.aggregate_type == aggregate_type,
            events.c.aggregate_id == aggregate_id,
            # With both ends, the planner takes the range for a small part of the stream, which it is.
            events.c.version.between(func.coalesce(version, 1), _LAST_VERSION),
        )
        .order_by(events.c.version)
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
