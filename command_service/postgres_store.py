"""The event store in PostgreSQL: every append is one call of `event_store.append`."""

from collections.abc import Sequence

import asyncpg
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
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.durability import replicated, settle
from command_service.errors import AppendRefused
from command_service.event_store import Appended, Commit, Conflict, Duplicate, EventIdTaken, Outcome
from shared.database import AnyRow, is_connection_failure, sqlstate, translate_errors
from shared.errors import DatabaseUnavailable, OutcomeUnknown, Overloaded
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
        bindparam("last_event_ids", type_=ARRAY(Uuid)),
    ).table_valued(
        column("commit_number", Integer),
        column("outcome", Text),
        column("version", Integer),
        column("first_position", BigInteger),
        column("last_position", BigInteger),
    )
)

_NOTHING_DONE = ("53", "25")
"""SQLSTATE prefixes: resources exhausted, and a state that lets nothing be written, as a standby's."""
_DATA_REFUSED = ("22", "23", "54")
"""SQLSTATE prefixes: bad data, a constraint, a limit. Any other error says nothing about the commits."""


class PostgresEventStore(PostgresEventLog):
    """Appends in autocommit: one statement is one transaction.

    `append_engine` has a pool of its own where appends must not wait for reads.
    """

    def __init__(self, engine: AsyncEngine, append_engine: AsyncEngine | None = None) -> None:
        super().__init__(engine)
        self._append_engine = append_engine or engine

    async def append(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        """See `EventStore.append`."""
        with translate_errors():
            connection = await self._append_engine.connect()
        try:
            async with replicated(connection):
                rows = (await connection.execute(_APPEND, _parameters(commits))).all()
            if any(row.outcome == "duplicate" for row in rows):
                await settle(connection)
        except (DBAPIError, OSError, asyncpg.InterfaceError) as error:
            code = sqlstate(error)
            if code.startswith(_DATA_REFUSED):
                raise AppendRefused(f"the database refused the append ({code})") from error
            if is_connection_failure(error) and not code.startswith(_NOTHING_DONE):
                await connection.invalidate()
                raise OutcomeUnknown from error
            raise DatabaseUnavailable(f"the database cannot append now ({code})") from error
        finally:
            await connection.close()
        return [_outcome(row) for row in rows]

    async def settle(self) -> None:
        """See `EventStore.settle`."""
        try:
            with translate_errors():
                async with self._engine.connect() as connection:
                    await settle(connection)
        except (DatabaseUnavailable, Overloaded) as error:
            raise OutcomeUnknown from error


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
        "last_event_ids": [commit.last_event_id for commit in commits],
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
