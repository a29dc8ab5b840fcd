"""I8: no row of the log is ever changed or removed, whoever tries; the roles can do what they must and no more."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from command_service.postgres_store import PostgresEventStore
from shared.database import sqlstate
from tests.support.databases import connected
from tests.support.events import a_commit

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHANGES = {
    "UPDATE": "UPDATE event_store.{table} SET {column} = {column}",
    "DELETE": "DELETE FROM event_store.{table}",
    "TRUNCATE": "TRUNCATE event_store.{table}",
}
COLUMNS = {"events": "event_data", "seals": "digest"}
INSERT = """
    INSERT INTO event_store.events VALUES
    (99, 'thing', gen_random_uuid(), 1, 'Happened', 1, gen_random_uuid(), '{}', '{}', now(), now())
"""
APPEND = """
    SELECT outcome FROM event_store.append(ARRAY['thing'], ARRAY[gen_random_uuid()], ARRAY[0], ARRAY[1],
    ARRAY['Happened'], ARRAY[1]::smallint[], ARRAY[gen_random_uuid()], ARRAY['{}'], ARRAY['{}'], ARRAY[now()])
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def log(unchanged: str, unchanged_engine: AsyncEngine) -> str:
    """The URL of a log with one event."""
    await PostgresEventStore(unchanged_engine).append([a_commit()])
    return unchanged


@pytest_asyncio.fixture(loop_scope="module")
async def connection(log: str) -> AsyncIterator[AsyncConnection]:
    """A connection of the owner's, in a transaction that is rolled back."""
    async with connected(log, 1, autocommit=False) as engine, engine.connect() as connection:
        yield connection


@pytest.mark.parametrize("table", ["events", "seals"])
@pytest.mark.parametrize("verb", list(CHANGES))
@pytest.mark.parametrize("replication_role", ["origin", "replica"])
async def test_the_owner_cannot_change_the_log(
    connection: AsyncConnection, table: str, verb: str, replication_role: str
) -> None:
    await connection.execute(text(f"SET session_replication_role = {replication_role}"))
    with pytest.raises(DBAPIError, match=f"{verb} of event_store.{table} is refused: the log is append-only"):
        await connection.execute(text(CHANGES[verb].format(table=table, column=COLUMNS[table])))


@pytest.mark.parametrize("table", ["events", "seals"])
@pytest.mark.parametrize("verb", list(CHANGES))
@pytest.mark.parametrize("role", ["daicho_command", "daicho_query"])
async def test_no_role_may_change_the_log(connection: AsyncConnection, table: str, verb: str, role: str) -> None:
    await connection.execute(text(f"SET ROLE {role}"))
    with pytest.raises(DBAPIError) as error:
        await connection.execute(text(CHANGES[verb].format(table=table, column=COLUMNS[table])))
    assert sqlstate(error.value) == "42501"


@pytest.mark.parametrize("role", ["daicho_command", "daicho_query"])
async def test_no_role_may_insert_directly(connection: AsyncConnection, role: str) -> None:
    await connection.execute(text(f"SET ROLE {role}"))
    with pytest.raises(DBAPIError, match="permission denied for table events"):
        await connection.execute(text(INSERT))


async def test_the_command_role_may_append_and_read(connection: AsyncConnection) -> None:
    await connection.execute(text("SET ROLE daicho_command"))
    assert await connection.scalar(text(APPEND)) == "appended"
    assert await connection.scalar(text("SELECT count(*) FROM event_store.events")) == 2


async def test_the_query_role_may_read_but_not_append(connection: AsyncConnection) -> None:
    await connection.execute(text("SET ROLE daicho_query"))
    assert await connection.scalar(text("SELECT count(*) FROM event_store.events")) == 1
    with pytest.raises(DBAPIError, match="permission denied for function append"):
        await connection.execute(text(APPEND))


async def test_the_command_role_cannot_touch_the_read_model(connection: AsyncConnection) -> None:
    await connection.execute(text("SET ROLE daicho_command"))
    with pytest.raises(DBAPIError, match="permission denied for schema read_model"):
        await connection.execute(text("SELECT * FROM read_model.checkpoints"))


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_append_refuses_another_isolation_level(connection: AsyncConnection, level: str) -> None:
    await connection.execute(text(f"SET TRANSACTION ISOLATION LEVEL {level}"))
    with pytest.raises(DBAPIError, match="runs at READ COMMITTED"):
        await connection.execute(text(APPEND))
