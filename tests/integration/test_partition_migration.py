"""The migration that brings partitions: what was there before goes on, and it can be taken back."""

from typing import Any

import asyncpg
import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from daicho.migrate import migrate
from query_service.tables import checkpoints
from shared.schema import READ_MODEL
from tests.support.databases import connected
from tests.support.orders import append_orders
from tests.support.partitioned import divide
from tests.support.projecting import Projecting, projected
from tests.support.replay import assert_read_models_equal_a_replay

BEFORE = "0003"

REGISTER = """
INSERT INTO read_model.checkpoints (projection, version, position) VALUES ('order_items', 1, 0) ON CONFLICT DO NOTHING
"""
MOVE = """
UPDATE read_model.checkpoints SET position = 7, updated_at = clock_timestamp()
WHERE (projection, generation) IN (('order_items', 'live'))
"""
REQUEST = """
INSERT INTO read_model.checkpoints (projection, generation, version, position, state)
VALUES ('order_items', 'next', 1, 0, 'requested') ON CONFLICT DO NOTHING
"""


async def downgrade(database: str) -> None:
    def run(connection: Connection) -> None:
        config = READ_MODEL.config()
        config.attributes["connection"] = connection
        command.downgrade(config, BEFORE)

    async with connected(database, 1, autocommit=False) as engine, engine.begin() as connection:
        await connection.run_sync(run)


async def fetch(engine: AsyncEngine, query: str) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(text(query))).scalars())


async def test_there_and_back_and_there_again(database: str, engine: AsyncEngine) -> None:
    """Rows, positions and the rights that others have on the view are what they were."""
    store = PostgresEventStore(engine)
    await projected(database, engine, 20)
    rights = "SELECT has_table_privilege('daicho_command', 'read_model.order_statistics', 'SELECT')"
    async with engine.connect() as connection:
        await connection.execute(text("GRANT SELECT ON read_model.order_statistics TO daicho_command"))
    positions = "SELECT position FROM read_model.checkpoints ORDER BY projection"
    before = await fetch(engine, positions)
    await downgrade(database)
    assert await fetch(engine, positions) == before
    assert await fetch(engine, rights) == [True]
    columns = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'read_model' AND table_name = 'checkpoints'"
    assert {one.name for one in checkpoints.c} - set(await fetch(engine, columns)) == {"partition", "partitions"}
    await migrate(database, database)
    assert await fetch(engine, positions) == before
    assert await fetch(engine, rights) == [True]
    await append_orders(store, 10, seed=1)
    async with connected(database, 1, autocommit=False) as read_engine:
        await Projecting(engine, read_engine).drain()
    await assert_read_models_equal_a_replay(engine)


async def test_the_release_before_projects_on_it(engine: AsyncEngine) -> None:
    """What it says to the checkpoints, word for word: it knows of no partition."""
    async with engine.connect() as connection:
        for statement in (REGISTER, MOVE, REQUEST, REQUEST, REGISTER, MOVE):
            await connection.execute(text(statement))
    found = "SELECT format('%s %s %s/%s', generation, position, partition, partitions) FROM read_model.checkpoints ORDER BY 1"
    assert await fetch(engine, found) == ["live 7 0/1", "next 0 0/1"]


async def test_what_is_divided_is_not_taken_back(database: str, engine: AsyncEngine) -> None:
    serves_from = "SELECT read_model.serves_from()"
    assert await fetch(engine, serves_from) == ["0004"]
    await divide(engine, 2)
    assert await fetch(engine, serves_from) == ["0005"], "the release before must not run on it"
    with pytest.raises(asyncpg.RaiseError, match="a projection is divided into partitions"):
        await downgrade(database)
    await READ_MODEL.require(engine)
