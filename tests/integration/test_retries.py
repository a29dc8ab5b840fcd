"""Retries of parked events: each is counted once, none is skipped, and no other release's tables are touched."""

from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from query_service import retrying
from query_service.orders.aggregate import ORDERS
from query_service.retrying import Retried, Retrying
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from shared.event_log.reader import PostgresEventLog
from shared.orders.events import EVENTS
from tests.support.databases import connected
from tests.support.orders import START, commit, placed
from tests.support.projecting import Projecting

NAMES = [projection.name for projection in ORDERS.projections]


def cancelled(data: str) -> NewEvent:
    return NewEvent(EventId(uuid4()), "OrderCancelled", 1, data, '{"correlation_id": "x"}', START)


async def park(database: str, engine: AsyncEngine, *data: str) -> None:
    """Have an order whose cancellations, with these data, are parked."""
    store, order_id = PostgresEventStore(engine), uuid4()
    await store.append([commit(order_id, 0, placed())])
    await store.append([Commit(StreamId("order", order_id), Version(1), tuple(map(cancelled, data)))])
    async with connected(database, 1, autocommit=False) as read_engine:
        projecting = Projecting(engine, read_engine)
        await projecting.register()
        await projecting.drain(isolating=True)


async def retry(database: str, engine: AsyncEngine, *names: str) -> Retried:
    async with connected(database, 2, autocommit=False) as read_engine:
        return await Retrying(PostgresEventLog(engine), EVENTS, ORDERS.projections, read_engine).retry(names)


async def cure(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("ALTER TABLE event_store.events DISABLE TRIGGER ALL"))
        well = 'UPDATE event_store.events SET event_data = \'{"reason": "x"}\' WHERE event_data = \'{"reason": 7}\''
        await connection.execute(text(well))


async def test_tables_of_another_version_are_left_alone(database: str, engine: AsyncEngine) -> None:
    await park(database, engine, '{"reason": 7}')
    await cure(engine)
    async with engine.connect() as connection:
        await connection.execute(text("UPDATE read_model.checkpoints SET version = 7"))
    assert await retry(database, engine, "order_summaries") == Retried(0, 1)


async def test_what_fails_at_a_later_event_is_counted_once(database: str, engine: AsyncEngine) -> None:
    await park(database, engine, '{"reason": 7}', '{"reason": 8}')
    await cure(engine)
    assert await retry(database, engine, "order_summaries") == Retried(1, 1)
    async with engine.connect() as connection:
        query = "SELECT position, attempts FROM read_model.parked_events WHERE projection = 'order_summaries'"
        assert (await connection.execute(text(query))).all() == [(3, 2)]


async def test_of_several_projections_none_is_skipped(
    database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a page of what is parked ends between two projections' rows of one position."""
    monkeypatch.setattr(retrying, "_AT_ONCE", 1)
    await park(database, engine, '{"reason": 7}')
    await cure(engine)
    assert await retry(database, engine, *NAMES) == Retried(2, 0)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM read_model.parked_events")) == 0
