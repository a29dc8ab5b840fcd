"""Rebuilds, and what else happens to projections at the same moment."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from query_service.batches import Batches
from query_service.orders.aggregate import ORDERS
from query_service.rebuild import ranges, requests
from query_service.rebuild.rebuilder import Rebuilder
from shared.event_log.reader import PostgresEventLog
from shared.orders.events import EVENTS, OrderConfirmed
from tests.support.databases import connected
from tests.support.orders import append_orders, commit, placed
from tests.support.projecting import Projecting
from tests.support.rebuilding import rebuilding
from tests.support.replay import assert_read_models_equal_a_replay
from tests.support.waiting import wait_until

_, DETAILS, _ = ORDERS.projections


class Stop(Exception):
    """The rebuilder's process ends."""


def stop_before_the_swap(rebuilder: Rebuilder, monkeypatch: pytest.MonkeyPatch) -> Rebuilder:
    async def stop(_: object) -> None:
        raise Stop

    monkeypatch.setattr(rebuilder, "_swap", stop)
    return rebuilder


async def project(database: str, engine: AsyncEngine) -> None:
    async with connected(database, 1, autocommit=False) as read_engine:
        projecting = Projecting(engine, read_engine)
        await projecting.register()
        await projecting.drain()


async def rows(engine: AsyncEngine, query: str) -> list[Any]:
    async with engine.connect() as connection:
        result = await connection.execute(text(query))
        return list(result.all()) if result.returns_rows else []


def batches(engine: AsyncEngine) -> Batches:
    return Batches(PostgresEventLog(engine), EVENTS, ORDERS.projections, 100)


@pytest.fixture
async def projected(database: str, engine: AsyncEngine, store: PostgresEventStore) -> None:
    await append_orders(store, 50)
    await project(database, engine)


async def test_what_only_the_next_generation_cannot_take_is_isolated_there(
    database: str, engine: AsyncEngine, store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The try that fails leaves the connection as it was."""
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed())])
    await project(database, engine)
    async with rebuilding(database) as one:
        await one.request("order_summaries")
        with pytest.raises(Stop):
            await stop_before_the_swap(one.rebuilder(), monkeypatch).rebuild()
        await rows(engine, "DELETE FROM read_model_next.order_summaries")
        await store.append([commit(order_id, 1, OrderConfirmed())])
        async with one.read_engine.connect() as connection:
            with pytest.raises(Exception, match="not placed"):
                await batches(engine).apply_next(connection)
            assert (await batches(engine).apply_next(connection, isolating=True)).events == 1
    assert await rows(engine, "SELECT generation FROM read_model.parked_events") == [("next",)]


@pytest.mark.usefixtures("projected")
@pytest.mark.parametrize("give_up", [requests.discard, requests.undo], ids=["discard", "undo"])
async def test_giving_a_rebuild_up_does_not_deadlock_with_who_projects(
    database: str, engine: AsyncEngine, give_up: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both lock checkpoints before tables."""

    async def waits() -> bool:
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return bool(await rows(engine, waiting))

    async with rebuilding(database) as one:
        if give_up is requests.undo:
            await one.request("order_details")
            await one.rebuilder().rebuild()
        await one.request("order_details")
        with pytest.raises(Stop):
            await stop_before_the_swap(one.rebuilder(), monkeypatch).rebuild()
        await append_orders(PostgresEventStore(engine), 5, seed=7)
        giving_up: list[asyncio.Task[None]] = []

        async def give_it_up() -> None:
            async with one.read_engine.begin() as connection:
                await give_up(connection, DETAILS)

        class Log(PostgresEventLog):
            async def read_all(self, *arguments: Any, **options: Any) -> Any:
                if not giving_up:
                    giving_up.append(asyncio.create_task(give_it_up()))
                    await wait_until(waits, "giving up waits for the batch")
                return await super().read_all(*arguments, **options)

        async with one.read_engine.connect() as connection:
            await Batches(Log(engine), EVENTS, ORDERS.projections, 100).apply_next(connection)
        await asyncio.gather(*giving_up)
        await one.rebuilder().rebuild()
    await project(database, engine)
    await assert_read_models_equal_a_replay(engine)


@pytest.mark.usefixtures("projected")
async def test_an_undo_while_a_rebuild_begins_is_not_lost(
    database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rows(engine, "UPDATE read_model.order_details SET carrier = 'from before'")
    plan, planned = ranges.plan, 0
    async with rebuilding(database) as one:
        await one.request("order_details")
        await one.rebuilder().rebuild()

        async def undone_meanwhile(*arguments: Any) -> Any:
            nonlocal planned
            planned += 1
            if planned == 1:
                async with one.read_engine.begin() as connection:
                    await requests.undo(connection, DETAILS)
            return await plan(*arguments)

        monkeypatch.setattr(ranges, "plan", undone_meanwhile)
        await one.request("order_details")
        await one.rebuilder().rebuild()
    assert len(await rows(engine, "SELECT 1 FROM read_model.order_details WHERE carrier = 'from before'")) == 50


@pytest.mark.usefixtures("projected")
async def test_a_new_request_after_a_discard_is_not_taken_for_what_was_loaded(
    database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last batch of catching up and the change of state."""
    async with rebuilding(database) as one:
        await one.request("order_details")
        apply_next = one.batches.apply_next

        async def then_discarded(connection: Any, **options: Any) -> Any:
            applied = await apply_next(connection, **options)
            if options.get("state") == "loaded":
                monkeypatch.setattr(one.batches, "apply_next", apply_next)
                async with one.read_engine.begin() as other:
                    await requests.discard(other, DETAILS)
                await one.request("order_details")
            return applied

        monkeypatch.setattr(one.batches, "apply_next", then_discarded)
        with pytest.raises(Stop):
            await stop_before_the_swap(one.rebuilder(), monkeypatch).rebuild()
        await append_orders(PostgresEventStore(engine), 5, seed=8)
        async with one.read_engine.connect() as connection:
            await batches(engine).apply_next(connection, isolating=True)
    assert await rows(engine, "SELECT 1 FROM read_model.parked_events") == []
    await assert_read_models_equal_a_replay(engine)


async def test_loaders_that_isolate_do_not_deadlock(
    database: str, engine: AsyncEngine, store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each range has orders that were never placed, and is written in pieces."""
    monkeypatch.setattr(ranges, "EVENTS_PER_RANGE", 12)
    await append_orders(store, 150)
    await store.append([commit(uuid4(), 0, OrderConfirmed()) for _ in range(50)])
    async with rebuilding(database) as one, rebuilding(database) as two, rebuilding(database) as three:
        projecting = Projecting(engine, one.read_engine)
        await projecting.register()
        await one.request("order_summaries")

        async def load(run: Any) -> None:
            await asyncio.gather(one.load(run), two.load(run), three.load(run))

        assert await one.rebuilder(load).rebuild()
    ((parked,),) = await rows(engine, "SELECT count(*) FROM read_model.parked_events WHERE generation = 'live'")
    assert parked == 50


@pytest.mark.usefixtures("projected")
async def test_runs_that_have_ended_leave_nothing(database: str, engine: AsyncEngine) -> None:
    async with rebuilding(database) as one:
        for _ in range(2):
            await one.request()
            await one.rebuilder().rebuild()
    assert await rows(engine, "SELECT run FROM read_model.rebuild_ranges") == []
