"""The event store in PostgreSQL: every append is one call of `event_store.append`."""

from collections.abc import Sequence

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Integer,
    SmallInteger,
    Text,
    Uuid,
    bindparam,
    column,
    func,
    select,
)
from sqlalchemy.exc import DBAPIError

from command_service.errors import AppendRefused, OutcomeUnknown
from command_service.event_store import Appended, Commit, Conflict, Duplicate, EventIdTaken, Outcome
from shared.database import AnyRow, is_connection_failure, sqlstate, translate_errors
from shared.errors import DatabaseUnavailable
from shared.event_log.events import Position, Version
from shared.event_log.reader import PostgresEventLog

_APPEND = select(
    func.event_store.append(
        bindparam("stream_types", type_=ARRAY(Text)),
        bindparam("stream_ids", type_=ARRAY(Uuid)),
        bindparam("expected_versions", type_=ARRAY(Integer)),
        bindparam("event_commits", type_=ARRAY(Integer)),
        bindparam("event_types", type_=ARRAY(Text)),
        bindparam("schema_versions", type_=ARRAY(SmallInteger)),
        bindparam("event_ids", type_=ARRAY(Uuid)),
        bindparam("event_data", type_=ARRAY(Text)),
        bindparam("event_metadata", type_=ARRAY(Text)),
        bindparam("occurred_ats", type_=ARRAY(DateTime(timezone=True))),
    ).table_valued(
        column("commit_number", Integer),
        column("outcome", Text),
        column("version", Integer),
        column("first_position", BigInteger),
        column("last_position", BigInteger),
    )
)

_RESOURCES_EXHAUSTED = "53"


class PostgresEventStore(PostgresEventLog):
    """Appends through a pool whose connections are in autocommit: one statement is one transaction."""

    async def append(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        """See `EventStore.append`."""
        with translate_errors():
            connection = await self._engine.connect()
        try:
            rows = (await connection.execute(_APPEND, _parameters(commits))).all()
        except (DBAPIError, OSError) as error:
            if sqlstate(error).startswith(_RESOURCES_EXHAUSTED):
                raise DatabaseUnavailable("the database has run out of a resource") from error
            if is_connection_failure(error):
                await connection.invalidate()
                raise OutcomeUnknown from error
            raise AppendRefused(f"the database refused the append ({sqlstate(error)})") from error
        finally:
            await connection.close()
        return [_outcome(row) for row in rows]


def _parameters(commits: Sequence[Commit]) -> dict[str, list[object]]:
    events = [(number, event) for number, commit in enumerate(commits, 1) for event in commit.events]
    return {
        "stream_types": [commit.stream.aggregate_type for commit in commits],
        "stream_ids": [commit.stream.aggregate_id for commit in commits],
        "expected_versions": [commit.expected_version for commit in commits],
        "event_commits": [number for number, _ in events],
        "event_types": [event.event_type for _, event in events],
        "schema_versions": [event.schema_version for _, event in events],
        "event_ids": [event.event_id for _, event in events],
        "event_data": [event.data for _, event in events],
        "event_metadata": [event.metadata for _, event in events],
        "occurred_ats": [event.occurred_at for _, event in events],
    }


def _outcome(row: AnyRow) -> Outcome:
    match row.outcome:
        case "appended":
            return Appended(Version(row.version), Position(row.first_position), Position(row.last_position))
        case "duplicate":
            return Duplicate(Version(row.version), Position(row.first_position), Position(row.last_position))
        case "conflict":
            return Conflict(Version(row.version))
        case "event_id_taken":
            return EventIdTaken(Position(row.first_position))
    raise ValueError(f"event_store.append gave an unknown outcome: {row.outcome}")
