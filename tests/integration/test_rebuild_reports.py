"""What a rebuild tells: how far it is, what it found different, how it ended."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from command_service.postgres_store import PostgresEventStore
from query_service.orders.aggregate import ORDERS
from query_service.projection_statuses import ProjectionStatuses, RebuildStatus
from query_service.rebuild import ranges, requests
from query_service.rebuild.rebuilder import REBUILDING_LOCK
from shared.errors import DatabaseUnavailable
from shared.event_log.reader import PostgresEventLog
from shared.orders.events import OrderCancelled
from tests.support.databases import connected
from tests.support.orders import append_orders, commit, placed
from tests.support.processes import daicho
from tests.support.projecting import Projecting, projected
from tests.support.rebuilding import Rebuilding, rebuilding
from tests.support.replay import assert_read_models_equal_a_replay
from tests.support.tally import a_tally, append_added
from tests.support.waiting import wait_until

DETAILS = next(one for one in ORDERS.projections if one.name == "order_details")


async def progress(engine: AsyncEngine, one: Rebuilding) -> RebuildStatus:
    """Give how the rebuild of `order_details` goes."""
    statuses = await ProjectionStatuses(PostgresEventLog(engine), one.read_engine, ORDERS.projections).list()
    (found,) = [status.rebuild for status in statuses if status.name == DETAILS.name]
    assert found is not None
    return found


async def report(engine: AsyncEngine, projection: str) -> dict[str, Any]:
    query = "SELECT report FROM read_model.checkpoints WHERE generation = 'live' AND projection = :projection"
    async with engine.connect() as connection:
        found: dict[str, Any] = await connection.scalar(text(query), {"projection": projection})
    return found


async def exists(engine: AsyncEngine, query: str) -> bool:
    async with engine.connect() as connection:
        return bool(await connection.scalar(text(f"SELECT EXISTS ({query})")))


async def discard(one: Rebuilding) -> None:
    async with one.read_engine.begin() as connection:
        await requests.discard(connection, DETAILS)


async def test_sums_that_came_to_zero_are_no_difference(database: str, engine: AsyncEngine) -> None:
    """A status that every order has left has no row, as in tables that are built anew."""
    store, order_id = PostgresEventStore(engine), uuid4()
    async with connected(database, 1, autocommit=False) as read_engine:
        one = Projecting(engine, read_engine)
        await one.register()
        await store.append([commit(order_id, 0, placed())])
        await one.drain()
        await store.append([commit(order_id, 1, OrderCancelled(reason="late"))])
        await one.drain()
    await assert_read_models_equal_a_replay(engine)
    async with rebuilding(database) as again:
        await again.request("order_summaries")
        await again.rebuilder().rebuild()
    tables = (await report(engine, "order_summaries"))["tables"]
    assert {name: table["different_rows"] for name, table in tables.items()} == dict.fromkeys(tables, 0)


async def test_a_live_generation_that_is_many_batches_behind_is_compared(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine, 10)
    await append_orders(PostgresEventStore(engine), 300, seed=1)
    async with rebuilding(database) as one:
        assert await PostgresEventStore(engine).head() > 5 * one.batches.size
        await one.request("order_details")
        await one.rebuilder().rebuild()
    found = await report(engine, "order_details")
    assert found["compared"], found
    assert found["tables"]["order_details"]["different_rows"] == 0


async def test_progress_is_of_the_events_that_are_loaded(
    database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of another aggregate type, half of the log, do not count."""
    monkeypatch.setattr(ranges, "EVENTS_PER_RANGE", 50)
    await append_added(PostgresEventStore(engine), a_tally(), 120)
    await projected(database, engine, 50)
    seen: list[RebuildStatus] = []
    async with rebuilding(database) as one:
        await one.request("order_details")

        async def load(run: UUID) -> None:
            async with one.read_engine.connect() as connection, one.read_engine.connect() as log:
                seen.append(await progress(engine, one))
                while await one.loader._load_next(connection, log, run):
                    seen.append(await progress(engine, one))

        await one.rebuilder(load).rebuild()
    events = await PostgresEventStore(engine).head() - 120
    assert len(seen) > 3
    assert (seen[0].events_done, seen[0].eta_seconds) == (0, None)
    assert all(abs(status.events_total - events) < len(seen) for status in seen), seen
    assert all(status.events_done < status.events_total for status in seen[:-1]), seen
    assert (seen[-1].events_done, seen[-1].events_total, seen[-1].eta_seconds) == (events, events, 0)


async def test_progress_of_an_undo_is_of_the_log_from_where_it_was_kept(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine, 50)
    store = PostgresEventStore(engine)
    kept = await store.head()
    async with rebuilding(database) as one:
        await one.request("order_details")
        assert (await progress(engine, one)).events_total == kept
        await one.rebuilder().rebuild()
        await append_orders(store, 200, seed=5)
        async with engine.connect() as connection:
            before = await connection.scalar(select(func.clock_timestamp()))
        async with one.read_engine.begin() as connection:
            await requests.undo(connection, DETAILS)
        found = await progress(engine, one)
    assert (found.events_done, found.events_total) == (kept, await store.head())
    assert (found.rate, found.eta_seconds) == (0, None)
    assert found.started_at is not None
    assert before is not None
    assert found.started_at > before


async def test_a_rebuild_that_is_given_up_while_it_loads_is_no_failure(database: str, engine: AsyncEngine) -> None:
    """Whatever its processes end with then; one that nobody gave up fails."""
    await projected(database, engine, 50)

    async def fail(run: UUID) -> None:
        raise DatabaseUnavailable(str(run))

    async with rebuilding(database) as one:

        async def given_up(run: UUID) -> None:
            await discard(one)
            await fail(run)

        await one.request("order_details")
        assert await one.rebuilder(given_up).rebuild()
        await one.request("order_details")
        with pytest.raises(DatabaseUnavailable):
            await one.rebuilder(fail).rebuild()


async def test_giving_up_a_rebuild_does_not_deadlock_with_a_process_that_loads(
    database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both lock checkpoints before ranges."""
    await projected(database, engine, 50)
    waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    forget_runs = requests.forget_runs
    async with rebuilding(database) as one:
        await one.request("order_details")

        async def load(run: UUID) -> None:
            loading: list[asyncio.Task[None]] = []

            async def forget_late(connection: AsyncConnection) -> None:
                loading.append(asyncio.create_task(one.load(run)))
                await wait_until(lambda: exists(engine, waiting), "the process that loads waits")
                await forget_runs(connection)

            monkeypatch.setattr(requests, "forget_runs", forget_late)
            await discard(one)
            await loading[0]

        assert await one.rebuilder(load).rebuild()


async def test_the_command_says_that_a_rebuild_was_given_up(database: str, engine: AsyncEngine) -> None:
    """Another process rebuilds; the command waits for it."""
    await projected(database, engine, 50)
    requested = "SELECT FROM read_model.checkpoints WHERE generation = 'next'"
    async with engine.connect() as holder, rebuilding(database) as one:
        await holder.execute(select(func.pg_advisory_lock(REBUILDING_LOCK)))
        running = asyncio.create_task(daicho(database, "rebuild", "order_details"))
        await wait_until(lambda: exists(engine, requested), "it is requested")
        await discard(one)
        assert await running == (
            1, "daicho: given up before it was done, the tables that serve are as they were: order_details\n",
        )  # fmt: skip


async def test_the_command_says_what_it_did_where_it_does_not_wait(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine, 5)
    assert await daicho(database, "rebuild", "order_details", "--no-wait") == (
        0, "order_details: is to be rebuilt; a running query service does it\n",
    )  # fmt: skip
    assert await daicho(database, "rebuild", "order_details", "--discard") == (
        0, "order_details: no rebuild is under way any more\n",
    )  # fmt: skip
