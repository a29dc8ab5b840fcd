"""Reads that go to the driver: a broken connection is replaced, one whose read was given up is not used again."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import Integer, bindparam, func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.driver import fetch_records
from shared.errors import DatabaseUnavailable, Overloaded
from tests.support.databases import connected
from tests.support.waiting import wait_until

PID = select(func.pg_backend_pid().label("pid"))
SLEEPING = select(func.pg_sleep(60))
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def ended(engine: AsyncEngine) -> None:
    """End every other session of the database."""
    async with engine.connect() as connection:
        await connection.execute(text(f"SELECT pg_terminate_backend(pid, 5000) {OTHERS}"))


async def test_values_have_the_names_of_their_columns(engine: AsyncEngine) -> None:
    query = select((literal(2) * bindparam("factor", type_=Integer())).label("product"), literal("x").label("name"))
    (row,) = await fetch_records(engine, query, {"factor": 21})
    assert (row.product, row.name, row["product"]) == (42, "x", 42)
    assert not hasattr(row, "other")
    with pytest.raises(KeyError, match="factor"):
        await fetch_records(engine, query)


async def test_a_read_is_asked_again_where_all_connections_of_the_pool_were_broken(
    engine: AsyncEngine, database: str
) -> None:
    async with connected(database, 3) as read:
        before = await asyncio.gather(*(fetch_records(read, PID) for _ in range(3)))
        await ended(engine)
        after = await asyncio.gather(*(fetch_records(read, PID) for _ in range(3)))
    pids = [{row.pid for rows in found for row in rows} for found in (before, after)]
    assert not pids[0] & pids[1]


async def test_what_is_wrong_with_a_statement_is_told_and_its_connection_stays(database: str) -> None:
    async with connected(database, 1) as read:
        before = await fetch_records(read, PID)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await fetch_records(read, select(literal(1) / func.length("")))
        assert await fetch_records(read, PID) == before


async def test_a_read_that_is_given_up_is_ended_and_its_connection_with_it(engine: AsyncEngine, database: str) -> None:
    count = text(f"SELECT count(*) {OTHERS}")

    async def are(sessions: int) -> bool:
        async with engine.connect() as connection:
            return bool(await connection.scalar(count) == sessions)

    async with connected(database, 1) as read:
        given_up = asyncio.create_task(fetch_records(read, SLEEPING))
        await wait_until(lambda: are(1), "it sleeps")
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        await wait_until(lambda: are(0), "nobody sleeps")
        assert await fetch_records(read, PID)


async def test_no_connection_in_time_is_too_much_and_no_server_is_away(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.database._POOL_TIMEOUT", 0.1)
    async with connected(database, 1) as read, read.connect():
        with pytest.raises(Overloaded):
            await fetch_records(read, PID)
    async with connected(database.replace("/test_", "/none_"), 1) as nowhere:
        with pytest.raises(DatabaseUnavailable):
            await fetch_records(nowhere, PID)
