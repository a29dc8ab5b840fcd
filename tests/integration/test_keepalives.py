"""A machine that is gone gives up the locks that its connections held: PostgreSQL is told to look for it."""

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daicho.read_side import read_side
from daicho.settings import OperatorSettings
from query_service.engines import create_engines
from query_service.rebuild.worker import engines_of
from tests.support.apps import query_settings


async def seconds_until_given_up(engine: AsyncEngine) -> int:
    """Give what the connection asked for; over a Unix socket, nothing comes of it."""
    query = text("SELECT name, CAST(reset_val AS integer) AS asked FROM pg_settings WHERE name LIKE 'tcp_keepalives_%'")
    async with engine.connect() as connection:
        asked = {row.name: int(row.asked) for row in await connection.execute(query)}
    assert all(asked.values()), "the system's own, of hours"
    return asked["tcp_keepalives_idle"] + asked["tcp_keepalives_interval"] * asked["tcp_keepalives_count"]


@pytest.mark.parametrize("name", ["project", "rebuild", "retry", "refresh"])
async def test_the_query_service_is_missed_within_seconds(database: str, name: str) -> None:
    engine = getattr(create_engines(query_settings(database)), name)
    try:
        assert await seconds_until_given_up(engine) < 10
    finally:
        await engine.dispose()


async def test_a_process_that_loads_is_missed_within_seconds(database: str) -> None:
    for engine in engines_of(query_settings(database)):
        try:
            assert await seconds_until_given_up(engine) < 10
        finally:
            await engine.dispose()


async def test_a_command_is_missed_within_seconds(database: str) -> None:
    async with read_side(OperatorSettings(database_url=SecretStr(database))) as side:
        assert await seconds_until_given_up(side.read_engine) < 10
