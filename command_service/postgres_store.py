"""The event store in PostgreSQL: every append is one call of `event_store.append`."""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.durability import Driver, replicated, settle
from command_service.errors import AppendRefused
from command_service.event_store import Appended, Commit, Conflict, Duplicate, EventIdTaken, Outcome
from shared.database import DRIVER_ERRORS, is_connection_failure, sqlstate, translate_errors
from shared.driver import checked_out, close_for_good
from shared.errors import DatabaseUnavailable, OutcomeUnknown, Overloaded
from shared.event_log.events import Position, Version
from shared.event_log.reader import PostgresEventLog
from shared.event_log.tables import APPEND_LOCK

_APPEND = f"""
SELECT appended.*, extract(epoch FROM turn.waited)::float8
FROM (SELECT pg_advisory_xact_lock({APPEND_LOCK}), clock_timestamp() - statement_timestamp() AS waited OFFSET 0) AS turn
CROSS JOIN LATERAL event_store.append(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, CASE WHEN turn.waited IS NOT NULL THEN $11::uuid[] END
) AS appended
"""  # noqa: S608 - our own number
"""Run by the driver itself: SQLAlchemy would take as long for a batch as PostgreSQL does.

`turn` takes the lock that the function takes, and looks at the clock when it has it. The function comes after it, for it has
`waited` in an argument.
"""

LOOKING_UP: Final = {"enable_seqscan": "off", "plan_cache_mode": "force_generic_plan"}
"""PostgreSQL's settings for connections that load streams: by index, though the plan was made while the log was small."""

_NOTHING_DONE = ("53", "25")
"""SQLSTATE prefixes: resources exhausted, and a state that lets nothing be written, as a standby's."""
_DATA_REFUSED = ("22", "23", "54")
"""SQLSTATE prefixes: bad data, a constraint, a limit. Any other error says nothing about the commits."""


class PostgresEventStore(PostgresEventLog):
    """Appends in autocommit: one statement is one transaction.

    `append_engine` has a pool of its own where appends must not wait for reads. `waited` is told how many seconds each
    waited for its turn among the appends of all processes.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        append_engine: AsyncEngine | None = None,
        waited: Callable[[float], None] | None = None,
    ) -> None:
        super().__init__(engine)
        self._append_engine = append_engine or engine
        self._waited = waited

    async def append(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        """See `EventStore.append`."""
        with translate_errors():
            connection = await checked_out(self._append_engine)
        try:
            with replicated(connection) as driver:
                outcomes = await call_append(driver, commits, self._waited)
            if any(isinstance(outcome, Duplicate) for outcome in outcomes):
                await settle(connection)
        except DRIVER_ERRORS as error:
            code = sqlstate(error)
            if code.startswith(_DATA_REFUSED):
                raise AppendRefused(f"the database refused the append ({code})") from error
            is_away = is_connection_failure(error)
            if is_away:
                await close_for_good(connection, self._append_engine)
            if is_away and not code.startswith(_NOTHING_DONE):
                raise OutcomeUnknown from error
            raise DatabaseUnavailable(f"the database cannot append now ({code})") from error
        finally:
            connection.close()
        return outcomes

    async def settle(self) -> None:
        """See `EventStore.settle`."""
        try:
            with translate_errors():
                connection = await checked_out(self._engine)
        except (DatabaseUnavailable, Overloaded) as error:
            raise OutcomeUnknown from error
        try:
            await settle(connection)
        finally:
            connection.close()


async def call_append(
    driver: Driver, commits: Sequence[Commit], waited: Callable[[float], None] | None = None
) -> Sequence[Outcome]:
    """Call the function. Raises the driver's errors."""
    rows = await driver.fetch(_APPEND, *_arguments(commits))
    if waited is not None and rows:
        waited(rows[0][-1])
    return [_outcome(*row) for row in rows]


def _arguments(commits: Sequence[Commit]) -> Sequence[Sequence[object]]:
    """Give the function's arguments, in its order."""
    events = [(number, event) for number, commit in enumerate(commits, 1) for event in commit.events]
    return (
        [commit.stream.aggregate_type for commit in commits],
        [commit.stream.aggregate_id for commit in commits],
        [commit.expected_version for commit in commits],
        [number for number, _ in events],
        [event.event_type for _, event in events],
        [event.schema_version for _, event in events],
        [event.event_id for _, event in events],
        [event.data for _, event in events],
        [event.metadata for _, event in events],
        [event.occurred_at for _, event in events],
        [commit.last_event_id for commit in commits],
    )


def _outcome(_: int, outcome: str, version: int, first_position: int, last_position: int, __: float) -> Outcome:
    """Build from a row of the statement."""
    match outcome:
        case "appended":
            return Appended(Version(version), Position(first_position), Position(last_position))
        case "duplicate":
            return Duplicate(Version(version), Position(first_position), Position(last_position))
        case "conflict":
            return Conflict(Version(version))
        case "event_id_taken":
            return EventIdTaken(Position(first_position))
    raise ValueError(f"event_store.append gave an unknown outcome: {outcome}")
