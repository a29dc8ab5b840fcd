"""Readiness tells a read model that is behind, and moves, from one that is stuck, and both from one that is caught up."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import delete, func, insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from query_service import projection_health, projection_statuses
from query_service.tables import checkpoints, leases, replicas
from tests.support.apps import query_service
from tests.support.databases import connected
from tests.support.documented import watched
from tests.support.http import assert_problem
from tests.support.metrics import samples
from tests.support.orders import append_orders
from tests.support.projecting import Projecting
from tests.support.waiting import wait_until

NAMES = {"order_summaries", "order_details", "order_items"}
BATCH = 20


@asynccontextmanager
async def nobody_projects(engine: AsyncEngine) -> AsyncIterator[None]:
    """Hold the lease of whoever projects, as a replica does that hangs."""
    replica, for_ever = uuid4(), datetime.max.replace(tzinfo=UTC)
    held = {"partitions": 1, "partition": 0, "holder": replica, "fence": 1, "expires_at": for_ever}
    async with engine.connect() as holder:
        there = {"replica": replica, "pid": func.pg_backend_pid(), "expires_at": for_ever}
        await holder.execute(insert(replicas).values(there))
        await holder.execute(insert(leases).values(held))
        yield
        await holder.execute(delete(replicas).where(replicas.c.replica == replica))
        await holder.execute(update(leases).values(holder=None, fence=2))


async def ready(http: httpx.AsyncClient, status: int, state: str) -> Mapping[str, Any]:
    """Wait until readiness is told so of every projection, which is looked at once a second; give the answer's members."""

    async def is_told() -> bool:
        answer = await http.get("/health/ready")
        return answer.status_code == status and {one["state"] for one in answer.json()["progress"].values()} == {state}

    await wait_until(is_told, f"readiness is {status}, and projections are {state}")
    members: Mapping[str, Any] = (await http.get("/health/ready")).json()
    return members


async def test_caught_up_is_ready(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    await append_orders(store, 5)
    told = await ready(http, 200, "live")
    assert told["progress"] == {name: {"state": "live", "lag_events": 0, "lag_seconds": 0.0} for name in NAMES}


async def test_a_read_model_past_the_end_of_the_log_is_stuck(
    store: PostgresEventStore, http: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    """As after a restore of the log, or in front of a stream that was made anew."""
    await append_orders(store, 5)
    await ready(http, 200, "live")
    async with engine.connect() as connection:
        await connection.execute(update(checkpoints).values(position=checkpoints.c.position + 100))

    async def is_told() -> bool:
        answer = await http.get("/health/ready")
        return answer.status_code == 503 and "past the end of the log" in answer.text

    await wait_until(is_told, "readiness tells of it")


async def test_behind_but_moving_is_ready(
    database: str, engine: AsyncEngine, store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection_statuses, "_STALLED_SECONDS", 3600.0)
    async with (
        nobody_projects(engine),
        query_service(database) as client,
        connected(database, 1, autocommit=False) as read,
    ):
        http = watched(client, "query")
        await append_orders(store, 30)
        head = await store.head()
        told = await ready(http, 200, "catching-up")
        assert {one["lag_events"] for one in told["progress"].values()} == {head}
        await Projecting(engine, read, batch=BATCH).apply_next()

        async def has_moved() -> bool:
            progress = (await http.get("/health/ready")).json()["progress"]
            return {one["lag_events"] for one in progress.values()} == {head - BATCH}

        await wait_until(has_moved, "the batch is seen")
        assert (await http.get("/health/ready")).json()["progress"]["order_items"]["state"] == "catching-up"


async def test_stuck_is_not_ready_until_it_moves_again(
    database: str, engine: AsyncEngine, store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection_statuses, "_STALLED_SECONDS", 0.0)
    monkeypatch.setattr(projection_health, "STUCK_SECONDS", 0.0)
    async with AsyncExitStack() as hanging:
        await hanging.enter_async_context(nobody_projects(engine))
        async with query_service(database) as client:
            http = watched(client, "query")
            await append_orders(store, 5)
            head = await store.head()
            await ready(http, 503, "stalled")
            problem = assert_problem(await http.get("/health/ready"), 503, "unavailable")
            assert f"order_items stays at position 0 of {head}" in problem["checks"]["projections"]
            assert problem["checks"]["projector"] == problem["checks"]["background tasks"] == "ok"
            assert {one["lag_events"] for one in problem["progress"].values()} == {head}
            stalled = samples((await http.get("/metrics")).text)
            assert {stalled[f'daicho_projection_stalled{{"projection": "{name}"}}'] for name in NAMES} == {1.0}
            await hanging.aclose()
            await ready(http, 200, "live")
