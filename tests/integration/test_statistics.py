"""Sales by day, and analytics from the materialized view."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from shared.orders.events import OrderCancelled, OrderConfirmed, OrderShipped
from tests.support.apps import query_service
from tests.support.http import assert_problem, get
from tests.support.orders import append_orders, commit, placed
from tests.support.replay import assert_read_models_equal_a_replay

FIRST = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
SHIPPED = OrderShipped(carrier="c", tracking_number="t")


@pytest.fixture
async def sold(store: PostgresEventStore) -> int:
    """One order placed before midnight and shipped after it, one the day after that, one cancelled."""
    one, two, three = uuid4(), uuid4(), uuid4()
    await store.append([commit(one, 0, placed("A", "10.00", 1), at=FIRST)])
    await store.append([commit(one, 1, OrderConfirmed(), SHIPPED, at=FIRST + timedelta(seconds=1))])
    await store.append([commit(two, 0, placed("B", "2.50", 2), at=FIRST + timedelta(days=1))])
    await store.append([commit(three, 0, placed("C", "1.00", 1), OrderCancelled(reason="x"), at=FIRST)])
    return await store.head()


def day(date: str, *values: Any) -> dict[str, Any]:
    names = ("placed_count", "placed_revenue", "shipped_count", "shipped_revenue")
    return {"day": date, **dict(zip(names, values, strict=True))}


async def test_each_day_has_what_was_placed_and_what_was_shipped(
    sold: int, http: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    answer = await http.get(
        "/statistics/daily?from=2026-02-28&to=2026-03-02", headers={"Event-Position": str(sold), "Prefer": "wait=30"}
    )
    assert answer.json() == {
        "days": [
            day("2026-02-28", 0, "0.00", 0, "0.00"),
            day("2026-03-01", 2, "11.00", 0, "0.00"),
            day("2026-03-02", 1, "5.00", 1, "10.00"),
        ]
    }
    assert answer.headers["Event-Position"] == str(sold)
    await assert_read_models_equal_a_replay(engine)


async def test_without_dates_the_last_thirty_days_are_given(http: httpx.AsyncClient) -> None:
    today = datetime.now(UTC).date()
    days = [one["day"] for one in (await http.get("/statistics/daily")).json()["days"]]
    assert (len(days), days[-1]) == (30, str(today))
    assert len((await http.get("/statistics/daily?to=0001-01-05")).json()["days"]) == 5
    assert len((await http.get(f"/statistics/daily?from={today - timedelta(days=6)}")).json()["days"]) == 7


@pytest.mark.parametrize(
    "query",
    ["from=x", "from=2026-03-02&to=2026-03-01", "from=2000-01-01&to=2026-01-01", "to=2026-02-30", "since=2026-01-01"],
)
async def test_days_that_are_none_are_refused(http: httpx.AsyncClient, query: str) -> None:
    assert_problem(await http.get(f"/statistics/daily?{query}"), 422, "validation-failed")


async def test_what_depends_on_the_clock_is_not_kept(sold: int, http: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await get(http, "/statistics/daily", sold)
    async with engine.connect() as connection:
        await connection.execute(text("UPDATE read_model.sales_by_day SET day = CURRENT_DATE WHERE placed_count = 2"))
    assert (await http.get("/statistics/daily")).json()["days"][-1]["placed_count"] == 2


async def test_analytics_are_the_totals_at_the_time_they_tell(database: str, store: PostgresEventStore) -> None:
    head = 0
    async with query_service(database, refresh_seconds=0.1) as http:
        nothing = (await http.get("/analytics/statuses")).json()
        assert [one["count"] for one in nothing["by_status"]] == [0, 0, 0, 0]
        for seed in range(2):
            await append_orders(store, 50, seed=seed)
            head = await store.head()
            answer = await get(http, "/analytics/statuses", head)
            assert answer.headers["Event-Position"] == str(head)
            assert answer.json()["by_status"] == (await get(http, "/statistics", head)).json()["by_status"]
            assert datetime.fromisoformat(answer.json()["refreshed_at"]) <= datetime.now(UTC)
        late = await http.get("/analytics/statuses", headers={"Event-Position": str(head + 1), "Prefer": "wait=0"})
        assert_problem(late, 503, "read-model-behind")


async def test_both_round_half_a_cent_up(database: str, store: PostgresEventStore) -> None:
    await store.append([commit(uuid4(), 0, placed("A", price, 1)) for price in ("0.10", "0.31")])
    async with query_service(database, refresh_seconds=0.1) as http:
        for path in ("/statistics", "/analytics/statuses"):
            answer = await get(http, path, await store.head())
            assert answer.json()["by_status"][0]["average_order_value"] == "0.21", path


async def test_analytics_go_on_through_a_rebuild(database: str, store: PostgresEventStore) -> None:
    head = 0
    async with query_service(database, refresh_seconds=0.1, rebuild_processes=1) as http:
        await append_orders(store, 30)
        await get(http, "/analytics/statuses", await store.head())
        assert (await http.post("/projections/order_summaries/rebuild")).status_code == 202
        for seed in range(1, 30):
            await append_orders(store, 3, seed=seed)
            head = await store.head()
            assert (await get(http, "/analytics/statuses", head)).headers["Event-Position"] == str(head)
            if (await http.get("/projections")).json()[0]["can_undo"]:
                break
        analytics = (await get(http, "/analytics/statuses", head)).json()["by_status"]
        assert analytics == (await get(http, "/statistics", head)).json()["by_status"]
