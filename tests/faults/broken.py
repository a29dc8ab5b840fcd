"""Builds that are broken on purpose, each in one place: the suite must catch every one of them.

The switches are here alone: app factories that patch the product's classes in their own process, and statements that
change a database of the test's own.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection

import command_service.main
import query_service.main
from command_service.event_store import Commit, Outcome
from command_service.idempotency import IdempotencyKey
from command_service.postgres_store import PostgresEventStore, call_append
from query_service import together
from query_service.projected_position import ProjectedPosition
from query_service.reading import ReadModel
from query_service.tables import checkpoints
from query_service.together import Write
from shared.database import DRIVER_ERRORS, translate_errors
from shared.errors import OutcomeUnknown
from shared.event_log.events import EventId
from shared.ids import new_id

_A_MOMENT = 0.3
"""Seconds for which a broken build gives faults a chance; a right one would have none to give."""


def answers_before_commit() -> FastAPI:
    """Make a command service that answers when an append has run, and commits it then."""
    patch("command_service.app.PostgresEventStore", _AnswersBeforeCommit).start()
    return command_service.main.create()


class _AnswersBeforeCommit(PostgresEventStore):
    _committing: asyncio.Task[None] | None = None

    async def append(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        if self._committing is not None:
            await asyncio.wait([self._committing])
        with translate_errors():
            connection = await self._append_engine.connect()
        try:
            await connection.exec_driver_sql("BEGIN")
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            outcomes = await call_append(driver, commits)
        except DRIVER_ERRORS as error:
            await connection.invalidate()
            await connection.close()
            raise OutcomeUnknown from error
        self._committing = asyncio.create_task(_commit(connection))
        return outcomes


async def _commit(connection: AsyncConnection) -> None:
    await asyncio.sleep(_A_MOMENT)
    try:
        await connection.exec_driver_sql("COMMIT")
    finally:
        await connection.close()


def ignores_idempotency_keys() -> FastAPI:
    """Make a command service whose event ids are new for each request, whatever its key."""
    patch.object(IdempotencyKey, "event_id", lambda _self, _index: EventId(new_id())).start()
    return command_service.main.create()


def moves_checkpoints_by_themselves() -> FastAPI:
    """Make a query service that commits a batch's rows first, and its checkpoints in a transaction of their own."""
    send = together._send

    async def send_apart(connection: AsyncConnection, writes: Sequence[Write]) -> None:
        rows = [write for write in writes if write.table != str(checkpoints)]
        if rows:
            await send(connection, rows)
        if moves := [write for write in writes if write.table == str(checkpoints)]:
            await connection.exec_driver_sql("COMMIT")
            await asyncio.sleep(_A_MOMENT)
            await connection.exec_driver_sql("BEGIN")
            await send(connection, moves)

    patch.object(together, "_send", send_apart).start()
    return query_service.main.create()


def does_not_wait() -> FastAPI:
    """Make a query service that answers with what it has, whatever position is wanted."""

    async def at_once(*_: object) -> None:
        pass

    patch.object(ProjectedPosition, "wait_for", at_once).start()
    patch.object(ReadModel, "require", lambda *_, **__: None).start()
    return query_service.main.create()


def waits_for_no_turn() -> FastAPI:
    """Make a command service that leaves it to the function to have appends take turns."""
    statement = "SELECT *, 0::float8 FROM event_store.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    patch("command_service.postgres_store._APPEND", statement).start()
    return command_service.main.create()


def rows_that_are_altered() -> Sequence[str]:
    """Give statements by which an append tidies up what an earlier one has written."""
    return (
        "DROP TRIGGER events_are_append_only ON event_store.events",
        """CREATE FUNCTION event_store.tidy_up() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
            UPDATE event_store.events SET metadata = metadata || '{"tidy": true}' WHERE position = NEW.first_position - 100;
            RETURN NULL;
        END $$""",
        "CREATE TRIGGER tidy AFTER INSERT ON event_store.seals FOR EACH ROW EXECUTE FUNCTION event_store.tidy_up()",
    )


def positions_from_a_sequence() -> Sequence[str]:
    """Give statements that let appends run at once, each with positions that it takes from a sequence."""
    append = (Path(__file__).parents[2] / "migrations/event_store/sql/0003/append.sql").read_text()
    function = append[append.index("CREATE FUNCTION") : append.index("REVOKE")]
    for right, broken in (
        ("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"),
        ("PERFORM pg_advisory_xact_lock(7234081526114);", ""),
        ("head := coalesce(head, 0);", _FROM_A_SEQUENCE),
    ):
        assert right in function
        function = function.replace(right, broken)
    return (
        "CREATE SEQUENCE event_store.positions",
        "SELECT setval('event_store.positions', max(position)) FROM event_store.events",
        function,
    )


# A lock that is held for the sequence alone keeps the positions of one append together.
_FROM_A_SEQUENCE = f"""
    PERFORM pg_advisory_lock(1);
    SELECT min(taken.number) - 1 INTO head
    FROM (SELECT nextval('event_store.positions') AS number FROM unnest(event_ids)) AS taken;
    PERFORM pg_advisory_unlock(1);
    PERFORM pg_sleep(random() * {_A_MOMENT});
"""
