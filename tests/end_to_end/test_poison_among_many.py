"""One bad event among ten thousand orders: the others are current at once, that one is right after a retry (I5)."""

import sys
from time import perf_counter
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from shared.orders.events import OrderCancelled, OrderConfirmed
from tests.support.http import get
from tests.support.orders import START, commit, placed
from tests.support.processes import service
from tests.support.replay import assert_read_models_equal_a_replay

pytestmark = pytest.mark.load

ORDERS = 10_000
AT_ONCE = 500
BAD = '{"reason": 7}'


async def counts(http: httpx.AsyncClient, position: int) -> dict[str, int]:
    answer = await get(http, "/statistics", position)
    return {one["status"]: one["count"] for one in answer.json()["by_status"]}


async def append(store: PostgresEventStore, commits: list[Commit]) -> None:
    for start in range(0, len(commits), AT_ONCE):
        await store.append(commits[start : start + AT_ONCE])


@pytest.mark.timeout(300)
async def test_nine_thousand_nine_hundred_and_ninety_nine_go_on(database: str, engine: AsyncEngine) -> None:
    store = PostgresEventStore(engine)
    sick, *others = (uuid4() for _ in range(ORDERS))
    await append(store, [commit(order_id, 0, placed()) for order_id in (sick, *others)])
    async with service("query", database) as query, httpx.AsyncClient(base_url=query.url, timeout=60) as http:
        placed_all = await store.head()
        assert (await counts(http, placed_all))["pending"] == ORDERS
        await store.append([_poison(sick)])
        await append(store, [commit(order_id, 1, OrderConfirmed()) for order_id in others])
        await store.append([commit(sick, 2, OrderCancelled(reason="again"))])
        head, started = await store.head(), perf_counter()
        answer = await get(http, f"/orders/{others[-1]}", head)
        seconds = perf_counter() - started
        sys.stdout.write(f"{ORDERS - 1:,} orders were current {seconds:.3f} s after the last of {head:,} events\n")
        assert answer.json()["status"] == "confirmed"
        now = (await http.get("/statistics")).json()["by_status"]
        assert {one["status"]: one["count"] for one in now} == {
            "pending": 1, "confirmed": ORDERS - 1, "shipped": 0, "cancelled": 0,
        }  # fmt: skip
        parked = (await http.get("/projections/order_summaries/parked")).json()
        assert [(one["aggregate_id"], one["events"]) for one in parked] == [(str(sick), 2)]

        await _cure(engine)
        for name in ("order_summaries", "order_details"):
            assert (await http.post(f"/projections/{name}/parked/retry")).json() == {"applied": 2, "parked": 0}
        assert (await get(http, f"/orders/{sick}", head)).json()["cancellation_reason"] == "again"
    await assert_read_models_equal_a_replay(engine)


def _poison(order_id: UUID) -> Commit:
    event = NewEvent(EventId(uuid4()), "OrderCancelled", 1, BAD, '{"correlation_id": "bad"}', START)
    return Commit(StreamId("order", order_id), Version(1), (event,))


async def _cure(engine: AsyncEngine) -> None:
    """As an upcaster of a new release would; here the log itself is mended, as only a superuser can."""
    mend = 'UPDATE event_store.events SET event_data = \'{"reason": "well"}\' WHERE event_data = CAST(:bad AS jsonb)'
    async with engine.connect() as connection:
        await connection.execute(text("ALTER TABLE event_store.events DISABLE TRIGGER ALL"))
        await connection.execute(text(mend), {"bad": BAD})
