"""Retries of parked events while a rebuild is under way: answered at once, and not undone when it swaps."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from query_service.rebuild import rebuilder
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from tests.support.apps import query_service
from tests.support.http import get
from tests.support.orders import START, commit, placed
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
    compare, comparing, go_on = rebuilder.compare, asyncio.Event(), asyncio.Event()

    async def when_told(connection: AsyncConnection, table: Any) -> Any:
        comparing.set()
        await go_on.wait()
        return await compare(connection, table)

    monkeypatch.setattr(rebuilder, "compare", when_told)
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
