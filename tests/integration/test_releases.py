"""Two releases of the query service beside each other, of which the newer one has other code for a projection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from query_service import app
from query_service.aggregate import Aggregate
from query_service.app import create_app
from query_service.orders.aggregate import ORDERS
from query_service.settings import QuerySettings
from query_service.tables import CHANNEL
from tests.support.apps import query_service, query_settings, running
from tests.support.http import get
from tests.support.orders import append_orders
from tests.support.projecting import Projecting
from tests.support.rebuilding import rebuilding
from tests.support.waiting import wait_until

SUMMARIES, *OTHERS = ORDERS.projections
NEXT_RELEASE: Aggregate = replace(ORDERS, projections=(replace(cast(Any, SUMMARIES), version=2), *OTHERS))


class _Loading:
    """Loads by the next release's code in this process; a worker process would run what is on disk."""

    def __init__(self, settings: QuerySettings) -> None:
        self._url = settings.log_url

    async def load(self, run: UUID) -> None:
        async with rebuilding(self._url, NEXT_RELEASE.projections) as one:
            await one.load(run)


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LoadProcesses", _Loading)


@asynccontextmanager
async def next_release(database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with running(create_app(query_settings(database), (NEXT_RELEASE,))) as http:
        yield http


async def summaries(http: httpx.AsyncClient) -> dict[str, Any]:
    (found,) = (one for one in (await http.get("/projections")).json() if one["name"] == SUMMARIES.name)
    return dict(found)


async def is_live(http: httpx.AsyncClient, store: PostgresEventStore) -> bool:
    found = await summaries(http)
    return (found["version"], found["state"], found["position"]) == (2, "live", await store.head())


async def test_the_next_release_gets_its_rebuild_and_projects_while_the_old_one_runs(
    database: str, store: PostgresEventStore
) -> None:
    """Both hear the request; the old one led, and cannot bring the new tables along."""
    await append_orders(store, 20)
    async with query_service(database) as old:
        await get(old, "/statistics", await store.head())
        async with next_release(database) as new:
            await wait_until(lambda: is_live(new, store), "the next release's tables are live", 60)
            await append_orders(store, 5, seed=1)
            await wait_until(lambda: is_live(new, store), "they go on", 60)
            assert (await get(new, "/statistics", await store.head())).status_code == 200


async def test_the_next_release_goes_on_when_the_old_one_ends(database: str, store: PostgresEventStore) -> None:
    await append_orders(store, 20)
    async with query_service(database) as old:
        await get(old, "/statistics", await store.head())
        new_release = next_release(database)
        new = await new_release.__aenter__()
    try:
        await append_orders(store, 5, seed=3)
        await wait_until(lambda: is_live(new, store), "the next release's tables are live", 60)
    finally:
        await new_release.__aexit__(None, None, None)


async def test_who_sees_newer_tables_leaves_projecting_to_the_newer_release(
    database: str, engine: AsyncEngine, store: PostgresEventStore
) -> None:
    await append_orders(store, 20)
    async with query_service(database) as old:
        await get(old, "/statistics", await store.head())
        async with engine.connect() as connection:
            newer = "UPDATE read_model.checkpoints SET version = 2 WHERE projection = 'order_summaries'"
            await connection.execute(text(newer))
            await connection.execute(text(f"SELECT pg_notify('{CHANNEL}', 'reset')"))
        async with next_release(database) as new:
            await append_orders(store, 5, seed=1)
            await wait_until(lambda: is_live(new, store), "the next release projects", 60)


async def test_a_worker_of_another_release_loads_nothing(database: str, engine: AsyncEngine) -> None:
    """The code on disk was replaced while the service that starts workers goes on."""
    await append_orders(PostgresEventStore(engine), 20)
    async with rebuilding(database) as one, rebuilding(database, NEXT_RELEASE.projections) as other:
        projecting = Projecting(engine, one.read_engine)
        await projecting.register()
        await projecting.drain()
        await one.request("order_summaries")
        with pytest.raises(Exception, match="not all loaded"):
            await one.rebuilder(other.load).rebuild()
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM read_model_next.order_summaries")) == 0
