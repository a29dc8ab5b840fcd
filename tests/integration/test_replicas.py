"""Several query services on one read model: one projects, the others know what it did, and take over."""

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from shared.orders.events import OrderConfirmed
from tests.support.apps import query_service
from tests.support.databases import Server, cloned, connected
from tests.support.http import get
from tests.support.orders import append_orders, commit, placed
from tests.support.replay import assert_read_models_equal_a_replay, read_models


async def services(stack: AsyncExitStack, database: str, count: int) -> list[httpx.AsyncClient]:
    return [await stack.enter_async_context(query_service(database, poll_interval=1.0)) for _ in range(count)]


async def test_every_replica_answers_at_the_position_wanted(
    database: str, engine: AsyncEngine, store: PostgresEventStore
) -> None:
    async with AsyncExitStack() as stack:
        replicas = await services(stack, database, 3)
        for seed in range(5):
            await append_orders(store, 20, seed=seed)
            head = await store.head()
            answers = await asyncio.gather(*(get(one, "/statistics", head) for one in replicas))
            assert {answer.json()["total_count"] for answer in answers} == {20 * (seed + 1)}
            assert all(int(answer.headers["Event-Position"]) >= head for answer in answers)
    await assert_read_models_equal_a_replay(engine)


async def test_a_replica_never_gives_a_stale_answer_from_memory(database: str, store: PostgresEventStore) -> None:
    """I9: what another process has projected makes an answer kept here invalid."""
    async with AsyncExitStack() as stack:
        replicas = await services(stack, database, 3)
        order_id = uuid4()
        await store.append([commit(order_id, 0, placed())])
        for version in range(1, 8):
            if version > 1:
                await store.append([commit(order_id, version - 1, OrderConfirmed())])
            for one in replicas * 2:
                answer = await get(one, f"/orders/{order_id}", version)
                assert answer.json()["version"] == version
                assert (await get(one, "/statistics", version)).headers["Event-Position"] == str(version)


@pytest.mark.parametrize("times", [5])
async def test_when_the_one_that_projects_loses_its_connection_another_goes_on(
    database: str, engine: AsyncEngine, store: PostgresEventStore, times: int
) -> None:
    async with AsyncExitStack() as stack:
        replicas = await services(stack, database, 2)
        for seed in range(times):
            async with engine.connect() as connection:
                await connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'daicho-project'"
                        " AND datname = current_database()"
                    )
                )
            await append_orders(store, 10, seed=seed)
            head = await store.head()
            for one in replicas:
                assert (await get(one, "/statistics", head)).json()["total_count"] == 10 * (seed + 1)
    await assert_read_models_equal_a_replay(engine)


async def test_two_services_with_databases_of_their_own_are_both_right(
    database: str, engine: AsyncEngine, store: PostgresEventStore, postgres: Server, template: str
) -> None:
    async with cloned(postgres, template) as other, AsyncExitStack() as stack:
        here = await stack.enter_async_context(query_service(database))
        there = await stack.enter_async_context(query_service(database, read_database_url=other))
        await append_orders(store, 50)
        head = await store.head()
        for one in (here, there):
            assert (await get(one, "/statistics", head)).json()["total_count"] == 50
        async with connected(other) as theirs:
            assert await read_models(theirs) == await read_models(engine)
    await assert_read_models_equal_a_replay(engine)
