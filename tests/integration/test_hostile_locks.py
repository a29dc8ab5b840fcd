"""Hostile review: locks taken in different orders, and runs that are given up while they are loaded."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from query_service.batches import Batches
from query_service.orders.aggregate import ORDERS
from query_service.rebuild import ranges, requests
from shared.event_log.events import StreamId
from shared.event_log.reader import PostgresEventLog
from shared.orders.events import EVENTS, OrderConfirmed
from tests.integration.test_hostile_engine import DETAILS, projected, rows, run
from tests.support.apps import query_service
from tests.support.http import get
from tests.support.orders import append_orders, commit, placed
from tests.support.processes import daicho
from tests.support.rebuilding import rebuilding
from tests.support.waiting import wait_until


@pytest.mark.parametrize("what", ["discard", "undo"])
async def test_giving_up_a_rebuild_does_not_deadlock_with_the_projector(
    database: str, engine: AsyncEngine, what: str
) -> None:
    """The projector locks checkpoints, then tables; a discard drops tables, then deletes checkpoints."""
    store = PostgresEventStore(engine)
    await projected(database, engine)
    async with rebuilding(database) as one:
        if what == "undo":
            await one.request("order_details")
            await one.rebuilder().rebuild()
        await one.request("order_details")
        rebuild = one.rebuilder()

        class _Stop(Exception):
            pass

        async def stop(_: Any) -> None:
            raise _Stop

        rebuild._swap = stop  # type: ignore[method-assign]
        with pytest.raises(_Stop):
            await rebuild.rebuild()
        await append_orders(store, 5, seed=7)
        giving_up: list[asyncio.Task[Any]] = []

        async def give_up() -> None:
            async with one.read_engine.begin() as connection:
                await getattr(requests, what)(connection, DETAILS)

        class Log(PostgresEventLog):
            async def read_all(self, *arguments: Any) -> Any:
                giving_up.append(asyncio.create_task(give_up()))
                await asyncio.sleep(0.3)
                return await super().read_all(*arguments)

        async with one.read_engine.connect() as connection:
            applied = await asyncio.gather(
                Batches(Log(engine), EVENTS, ORDERS.projections, 100).apply_next(connection), return_exceptions=True
            )
        found = await asyncio.gather(*giving_up, return_exceptions=True)
        print(repr(applied), [getattr(one, "__cause__", None) for one in applied], repr(found)[:300])
        assert not [one for one in (*applied, *found) if isinstance(one, Exception)]


async def test_loaders_that_isolate_do_not_deadlock(
    database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A range with an order that was never placed is written piece by piece, each with its sums, in one transaction."""
    monkeypatch.setattr(ranges, "EVENTS_PER_RANGE", 12)
    store = PostgresEventStore(engine)
    for seed in range(2):
        await append_orders(store, 150, seed=seed)
        for _ in range(50):
            await store.append([commit(uuid4(), 0, OrderConfirmed())])
    from query_service import checkpoints
    from query_service.sums import Summing

    write = Summing.write

    async def slowly(self: Any, connection: Any) -> None:
        await write(self, connection)
        await asyncio.sleep(0.02)

    monkeypatch.setattr(Summing, "write", slowly)
    async with rebuilding(database) as one:
        async with one.read_engine.begin() as connection:
            await checkpoints.register(connection, ORDERS.projections)
        await one.request("order_summaries")
        failed: list[Any] = []

        async def load(run_id: Any) -> None:
            async with rebuilding(database) as other, rebuilding(database) as third:
                found = await asyncio.gather(
                    one.load(run_id), other.load(run_id), third.load(run_id), return_exceptions=True
                )
            failed.extend(one for one in found if one is not None)
            print([getattr(one, "__cause__", None) for one in failed])

        await asyncio.gather(one.rebuilder(load).rebuild(), return_exceptions=True)
        assert failed == []


async def test_a_discard_while_loading_is_not_reported_as_a_failure(database: str, engine: AsyncEngine) -> None:
    await append_orders(PostgresEventStore(engine), 3000)
    await projected(database, engine, 1)
    running = asyncio.create_task(daicho(database, "rebuild", "order_details", DAICHO_REBUILD_PROCESSES="1"))
    states = "SELECT 1 FROM read_model.checkpoints WHERE generation = 'next' AND state = 'loading'"

    async def loading() -> bool:
        return bool(await rows(engine, states))

    await wait_until(loading, "it loads", 30)
    async with rebuilding(database) as one, one.read_engine.begin() as connection:
        await requests.discard(connection, DETAILS)
    code, output = await running
    print(code, output)
    assert "rebuilt, at position" not in output
    assert "Traceback" not in output


async def test_analytics_go_on_over_a_swap(database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next view is made, then the live one is refreshed past it, then the older one takes its place."""
    from query_service.rebuild.rebuilder import Rebuilder

    store = PostgresEventStore(engine)
    await append_orders(store, 20)
    try_swap = Rebuilder._try_swap

    async def later(self: Any, projection: Any, report: Any) -> bool:
        await append_orders(store, 5, seed=9)
        await asyncio.sleep(2.5)
        return await try_swap(self, projection, report)

    monkeypatch.setattr(Rebuilder, "_try_swap", later)
    async with query_service(database, refresh_seconds=2.0, rebuild_processes=1) as http:
        await get(http, "/statistics", await store.head())
        await asyncio.sleep(2.5)
        await http.post("/projections/order_summaries/rebuild")
        answers = []
        for _ in range(400):
            seen = int((await http.get("/analytics/statuses")).headers["Event-Position"])
            most = max([seen, *(position for position, _ in answers)])
            answer = await http.get("/analytics/statuses", headers={"Event-Position": str(most), "Prefer": "wait=30"})
            answers.append((seen, answer.status_code))
            await asyncio.sleep(0.03)
    positions = [position for position, _ in answers]
    print(sorted(set(positions)), {status for _, status in answers})
    assert {status for _, status in answers} == {200}, "refused without waiting, though Prefer says wait=30"
    assert positions == sorted(positions), "it goes back"


async def test_a_rebuild_that_was_given_up_is_not_called_rebuilt(database: str, engine: AsyncEngine) -> None:
    """Another process works; the command waits, and a second one gives it up."""
    from query_service.rebuild.rebuilder import REBUILDING_LOCK

    await projected(database, engine)
    async with engine.connect() as holder:
        await holder.execute(text(f"SELECT pg_advisory_lock({REBUILDING_LOCK})"))
        waiting = asyncio.create_task(daicho(database, "rebuild", "order_details"))

        async def requested() -> bool:
            return bool(await rows(engine, "SELECT 1 FROM read_model.checkpoints WHERE generation = 'next'"))

        await wait_until(requested, "it is requested", 30)
        await asyncio.sleep(1)
        assert (await daicho(database, "rebuild", "order_details", "--discard"))[0] == 0
        await asyncio.sleep(2)
        await holder.execute(text(f"SELECT pg_advisory_unlock({REBUILDING_LOCK})"))
        code, output = await waiting
    print(code, output)
    assert "rebuilt, at position" not in output


async def test_a_worker_of_another_release_loads_nothing(database: str, engine: AsyncEngine) -> None:
    """Its code was replaced on disk while the service that started it goes on."""
    await projected(database, engine)
    async with rebuilding(database) as one:
        await one.request("order_details")

        async def load(run_id: Any) -> None:
            await run(engine, "UPDATE read_model.checkpoints SET version = 7 WHERE generation = 'next'")
            await one.load(run_id)
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await one.rebuilder(load).rebuild()
    assert await rows(engine, "SELECT 1 FROM read_model_next.order_details LIMIT 1") == []


async def test_progress_counts_what_it_says(database: str, engine: AsyncEngine) -> None:
    """Half of the log is of another aggregate type: a rebuild of orders ends at half of its total."""
    from query_service.projection_statuses import ProjectionStatuses
    from tests.support.tally import a_tally, append_added

    await append_added(PostgresEventStore(engine), a_tally(), 120)
    await projected(database, engine)
    seen: list[Any] = []
    async with rebuilding(database) as one:
        await one.request("order_details")

        async def load(run_id: Any) -> None:
            await one.load(run_id)
            found = await ProjectionStatuses(PostgresEventLog(engine), one.read_engine, ORDERS.projections).list()
            seen.extend(status.rebuild for status in found if status.rebuild)

        await one.rebuilder(load).rebuild()
    print(seen)
    assert seen[0].events_done == seen[0].events_total


async def test_the_comparison_finds_no_difference_where_there_is_none(database: str, engine: AsyncEngine) -> None:
    """A status that orders have left has a row of zeros in the live totals, and none in those built anew."""
    from shared.orders.events import OrderCancelled
    from tests.support.databases import connected
    from tests.support.projecting import Projecting
    from tests.support.replay import assert_read_models_equal_a_replay

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
    ((report,),) = await rows(
        engine, "SELECT report FROM read_model.checkpoints WHERE generation = 'live' AND projection = 'order_summaries'"
    )
    print(report)
    assert report["tables"]["order_totals"]["different_rows"] == 0


async def test_a_retry_is_answered_while_a_rebuild_compares(
    database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both take connections of one pool of two, and a rebuild holds both."""
    from query_service.rebuild import rebuilder

    compare = rebuilder.compare

    async def slowly(connection: Any, table: Any) -> Any:
        await connection.execute(text("SELECT pg_sleep(8)"))
        return await compare(connection, table)

    monkeypatch.setattr(rebuilder, "compare", slowly)
    store, order_id = PostgresEventStore(engine), uuid4()
    await store.append([commit(order_id, 0, OrderConfirmed())])
    async with query_service(database, rebuild_processes=1) as http:
        await http.get("/statistics")
        await wait_until(lambda: _has_parked(engine), "it is parked", 20)
        await http.post("/projections/order_details/rebuild")

        async def comparing() -> bool:
            return bool(await rows(engine, "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(8)' AND state = 'active'"))

        await wait_until(comparing, "it compares", 30)
        answer = await http.post("/projections/order_summaries/parked/retry")
        assert answer.status_code == 200, answer.text


async def _has_parked(engine: AsyncEngine) -> bool:
    return bool(await rows(engine, "SELECT 1 FROM read_model.parked_events"))
