"""Retries of parked events while a rebuild is under way: answered at once, and not undone when it swaps."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from query_service.orders.aggregate import ORDERS
from query_service.projection import Projection
from query_service.rebuild.comparison import compare
from query_service.retrying import Retried, Retrying
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from shared.event_log.reader import PostgresEventLog
from shared.orders.events import EVENTS
from tests.support.apps import query_service
from tests.support.databases import connected
from tests.support.http import get
from tests.support.orders import START, commit, placed
from tests.support.projecting import Projecting
from tests.support.rebuilding import Rebuilding, rebuilding
from tests.support.replay import assert_read_models_equal_a_replay
from tests.support.waiting import wait_until

SUMMARIES = "order_summaries"


@pytest.fixture
async def sick(store: PostgresEventStore) -> UUID:
    """An order whose second event, a cancellation, cannot be decoded."""
    order_id = uuid4()
    bad = NewEvent(EventId(uuid4()), "OrderCancelled", 1, '{"reason": 7}', "{}", START)
    await store.append([commit(order_id, 0, placed())])
    await store.append([Commit(StreamId("order", order_id), Version(1), (bad,))])
    return order_id


async def cure(engine: AsyncEngine) -> None:
    """As an upcaster of a new release would; here the log itself is mended, as only a superuser can."""
    async with engine.connect() as connection:
        await connection.execute(text("ALTER TABLE event_store.events DISABLE TRIGGER ALL"))
        well = 'UPDATE event_store.events SET event_data = \'{"reason": "x"}\' WHERE event_data = \'{"reason": 7}\''
        await connection.execute(text(well))


async def parked(engine: AsyncEngine, generation: str = "live") -> list[int]:
    query = text(
        "SELECT position FROM read_model.parked_events"
        " WHERE projection = 'order_summaries' AND generation = :generation ORDER BY position"
    )
    async with engine.connect() as connection:
        return list((await connection.execute(query, {"generation": generation})).scalars())


@pytest.mark.usefixtures("sick")
async def test_a_retry_is_answered_while_a_rebuild_compares(
    database: str, store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs none of the connections that the rebuild holds."""
    comparing, go_on = asyncio.Event(), asyncio.Event()

    async def when_told(connection: AsyncConnection, table: Any) -> Any:
        comparing.set()
        await go_on.wait()
        return await compare(connection, table)

    monkeypatch.setattr("query_service.rebuild.rebuilder.compare", when_told)
    async with query_service(database, rebuild_processes=1) as http:
        await get(http, "/orders", await store.head())
        await http.post("/projections/order_items/rebuild")
        await asyncio.wait_for(comparing.wait(), 30)
        answer = await http.post("/projections/order_summaries/parked/retry")
        assert (answer.status_code, answer.json()) == (200, {"applied": 0, "parked": 1})
        go_on.set()

        async def is_rebuilt() -> bool:
            return all(one["rebuild"] is None for one in (await http.get("/projections")).json())

        await wait_until(is_rebuilt, "the rebuild comes to its end")


async def project(database: str, engine: AsyncEngine) -> None:
    async with connected(database, 1, autocommit=False) as read_engine:
        projecting = Projecting(engine, read_engine)
        await projecting.register()
        await projecting.drain(isolating=True)


async def retry(engine: AsyncEngine, one: Rebuilding) -> Retried:
    return await Retrying(PostgresEventLog(engine), EVENTS, ORDERS.projections, one.read_engine).retry([SUMMARIES])


@pytest.mark.usefixtures("sick")
async def test_what_was_retried_while_a_rebuild_loads_is_not_undone_by_its_swap(
    database: str, engine: AsyncEngine
) -> None:
    await project(database, engine)
    async with rebuilding(database) as one:
        await one.request(SUMMARIES)

        async def load_then_retry(run: UUID) -> None:
            await one.load(run)
            assert await parked(engine, "next") == [2]
            await cure(engine)
            assert await retry(engine, one) == Retried(1, 0)

        await one.rebuilder(load_then_retry).rebuild()
    assert await parked(engine) == []
    assert await different_rows(engine) == 0
    await cure_the_others(database, engine)


@pytest.mark.usefixtures("sick")
async def test_what_is_retried_between_comparison_and_swap_is_not_undone(
    database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More events of the order come meanwhile: each is applied once, in order."""
    await project(database, engine)
    async with rebuilding(database) as one:
        await one.request(SUMMARIES)
        rebuild = one.rebuilder()
        make_views = rebuild._make_views

        async def retry_then_make_views(projection: Projection) -> None:
            await cure(engine)
            assert await retry(engine, one) == Retried(1, 0)
            await make_views(projection)

        monkeypatch.setattr(rebuild, "_make_views", retry_then_make_views)
        await rebuild.rebuild()
    assert await parked(engine) == []
    await cure_the_others(database, engine)


async def test_what_the_next_generation_cannot_apply_stays_parked(
    sick: UUID, database: str, engine: AsyncEngine
) -> None:
    """It was given up in the live one; a rebuild begins anew, and comes to its end."""
    await project(database, engine)
    async with rebuilding(database) as one:
        retrying = Retrying(PostgresEventLog(engine), EVENTS, ORDERS.projections, one.read_engine)
        assert await retrying.discard([SUMMARIES], sick) == 1
        await one.request(SUMMARIES)
        await one.rebuilder().rebuild()
        assert await parked(engine) == [2]
        await cure(engine)
        assert await retry(engine, one) == Retried(1, 0)
    await cure_the_others(database, engine)


async def different_rows(engine: AsyncEngine) -> int:
    query = text(
        "SELECT report FROM read_model.checkpoints WHERE projection = 'order_summaries' AND generation = 'live'"
    )
    async with engine.connect() as connection:
        report = (await connection.execute(query)).scalar_one()
    assert report["compared"]
    return sum(table["different_rows"] for table in report["tables"].values())


async def cure_the_others(database: str, engine: AsyncEngine) -> None:
    """Retry in the projections that were not rebuilt; then all is as if nothing had been parked."""
    async with connected(database, 2, autocommit=False) as read_engine:
        names = [projection.name for projection in ORDERS.projections]
        result = await Retrying(PostgresEventLog(engine), EVENTS, ORDERS.projections, read_engine).retry(names)
    assert result.parked == 0
    await assert_read_models_equal_a_replay(engine)
