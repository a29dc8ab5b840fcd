"""Hostile review: two releases beside each other."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from query_service import app
from query_service.app import create_app
from query_service.orders.aggregate import ORDERS
from tests.support.apps import query_settings, running
from tests.support.http import get
from tests.support.orders import append_orders
from tests.support.rebuilding import rebuilding


class _Loading:
    """Loads in this process, by the code of version 2: a worker would be of the release on disk."""

    def __init__(self, settings: Any) -> None:
        self._url = settings.log_url

    async def load(self, run: Any) -> None:
        async with rebuilding(self._url, v2().projections) as one:
            await one.load(run)


@pytest.fixture(autouse=True)
def _in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LoadProcesses", _Loading)


def v2() -> Any:
    summaries, *others = ORDERS.projections
    return replace(ORDERS, projections=(replace(summaries, version=2), *others))


async def _summaries(http: httpx.AsyncClient) -> dict[str, Any]:
    return next(one for one in (await http.get("/projections")).json() if one["name"] == "order_summaries")


async def test_a_rolling_upgrade_gets_its_rebuild(database: str, engine: AsyncEngine) -> None:
    """The old release hears REQUESTED too, takes the request for its own version, and uses it up."""
    store = PostgresEventStore(engine)
    await append_orders(store, 20)
    settings = query_settings(database, rebuild_processes=1)
    async with running(create_app(settings)) as old:
        await get(old, "/statistics", await store.head())
        await asyncio.sleep(1)
        async with running(create_app(settings, (v2(),))) as new:
            await asyncio.sleep(6)
            print("both run:", await _summaries(new))
            old_still = old
            del old_still
            await asyncio.sleep(0)
            # the old one ends below, the new one stays
            task = asyncio.create_task(_wait_v2(new))
            await asyncio.wait([task], timeout=14)
            found = await _summaries(new)
            print("later:", found)
            task.cancel()
            assert found["version"] == 2, found


async def _wait_v2(http: httpx.AsyncClient) -> None:
    while (await _summaries(http))["version"] != 2:
        await asyncio.sleep(0.5)


async def test_a_new_release_alone_after_the_old_one_ended_is_projected(database: str, engine: AsyncEngine) -> None:
    store = PostgresEventStore(engine)
    await append_orders(store, 20)
    settings = query_settings(database, rebuild_processes=1)
    old_app = running(create_app(settings))
    old = await old_app.__aenter__()
    await get(old, "/statistics", await store.head())
    await asyncio.sleep(1)
    async with running(create_app(settings, (v2(),))) as new:
        await asyncio.sleep(6)
        await old_app.__aexit__(None, None, None)
        await append_orders(store, 5, seed=3)
        await asyncio.sleep(15)
        found = await _summaries(new)
        print("old one ended 15 s ago:", found)
        assert found["state"] == "live", found


async def test_after_the_swap_to_a_new_version_somebody_projects_it(database: str, engine: AsyncEngine) -> None:
    """The old release holds the projecting lock and passes over what is of version 2."""
    store = PostgresEventStore(engine)
    await append_orders(store, 20)
    settings = query_settings(database, rebuild_processes=1)
    async with running(create_app(settings)) as old:
        await get(old, "/statistics", await store.head())
        async with engine.connect() as connection:  # as if the new release's rebuild had won
            await connection.execute(
                text("WITH swapped AS (UPDATE read_model.checkpoints SET version = 2 WHERE projection = 'order_summaries') SELECT pg_notify('daicho_projected', 'reset')")
            )
        async with running(create_app(settings, (v2(),))) as new:
            await append_orders(store, 5, seed=1)
            head = await store.head()
            await asyncio.sleep(5)
            found = await _summaries(new)
            print(found)
            assert found["position"] == head
