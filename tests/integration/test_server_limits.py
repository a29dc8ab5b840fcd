"""PostgreSQL itself ends what would hold others up, whatever has become of the client (I10)."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.engines import create_engines
from query_service.rebuild.worker import engines_of
from shared.database import sqlstate
from tests.support.apps import query_settings
from tests.support.databases import connected
from tests.support.waiting import wait_until


async def limits(engine: AsyncEngine) -> dict[str, int]:
    """Give a connection's limits in milliseconds, by name; 0: none."""
    query = text("SELECT name, CAST(setting AS integer) AS limited FROM pg_settings WHERE name LIKE '%timeout%'")
    try:
        async with engine.connect() as connection:
            return {row.name: row.limited for row in await connection.execute(query)}
    finally:
        await engine.dispose()


async def test_every_connection_of_the_query_service_ends_transactions_that_are_left_open(database: str) -> None:
    for engine in (*create_engines(query_settings(database)), *engines_of(query_settings(database))):
        assert 0 < (await limits(engine))["idle_in_transaction_session_timeout"] <= 600_000


@pytest.mark.parametrize("name", ["log", "read", "search", "project", "project_log", "retry", "stream"])
async def test_the_statements_of_the_query_service_are_limited(database: str, name: str) -> None:
    assert 0 < (await limits(getattr(create_engines(query_settings(database)), name)))["statement_timeout"] <= 30_000


async def test_who_projects_is_given_up_when_it_does_nothing_for_longer_than_it_would(database: str) -> None:
    found = await limits(create_engines(query_settings(database, poll_interval=7.0)).project)
    assert 7_000 < found["idle_session_timeout"] <= 30_000
    assert 0 < found["idle_in_transaction_session_timeout"] <= 30_000
    assert 0 < found["lock_timeout"] < found["statement_timeout"]


async def test_postgresql_ends_a_statement_before_the_driver_gives_it_up(database: str) -> None:
    """So that it is certain that nothing was done."""
    async with connected(database, 1, statement_timeout=0.2) as engine, engine.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text("SELECT pg_sleep(60)"))
    assert sqlstate(caught.value) == "57014"


async def test_a_query_whose_client_is_gone_ends(database: str, engine: AsyncEngine) -> None:
    async def sleeping() -> bool:
        query = text(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND datname = current_database()"
        )
        async with engine.connect() as connection:
            return bool(await connection.scalar(query))

    async def gone() -> bool:
        return not await sleeping()

    async with connected(database, 1, statement_timeout=None) as other, other.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        running = asyncio.create_task(raw.execute("SELECT pg_sleep(60)"))
        await wait_until(sleeping, "the query runs")
        # The socket closes without a word, as that of a process that was killed.
        raw._transport.abort()
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await running
        await wait_until(gone, "PostgreSQL has noticed")


async def test_a_transaction_that_is_left_open_lets_its_locks_go(database: str, engine: AsyncEngine) -> None:
    short = {"idle_in_transaction_session_timeout": "200ms"}
    async with (
        connected(database, 1, autocommit=False, server_settings=short) as stuck,
        stuck.connect() as connection,
        engine.connect() as other,
    ):
        await connection.execute(text("LOCK TABLE read_model.checkpoints"))
        await other.execute(text("SELECT count(*) FROM read_model.checkpoints"))
        await connection.invalidate()
