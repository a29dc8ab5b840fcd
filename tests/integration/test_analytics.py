"""Analytics, where events are parked, and where other projections lag."""

from uuid import UUID, uuid4

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from tests.support.apps import query_service
from tests.support.http import assert_problem, get
from tests.support.orders import START, append_orders, commit, placed
from tests.support.waiting import wait_until


def counts(answer: httpx.Response) -> list[int]:
    return [one["count"] for one in answer.json()["by_status"]]


def cancelled(data: str) -> NewEvent:
    return NewEvent(EventId(uuid4()), "OrderCancelled", 1, data, '{"correlation_id": "x"}', START)


async def an_order_whose_cancellation_is_parked(store: PostgresEventStore) -> UUID:
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed("Sick"))])
    await store.append([Commit(StreamId("order", order_id), Version(1), (cancelled('{"reason": 7}'),))])
    return order_id


async def cure(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("ALTER TABLE event_store.events DISABLE TRIGGER ALL"))
        await connection.execute(
            text(
                "UPDATE event_store.events SET event_data = '{\"reason\": \"well\"}' WHERE event_type = 'OrderCancelled'"
            )
        )


async def test_analytics_show_what_a_retry_has_applied(
    database: str, engine: AsyncEngine, store: PostgresEventStore
) -> None:
    """The view is refreshed by position only, and a retry moves none."""
    async with query_service(database, refresh_seconds=0.1) as http:
        await an_order_whose_cancellation_is_parked(store)

        async def are_shown() -> bool:
            parked = (await http.get("/projections/order_summaries/parked")).json()
            return len(parked) == 1 and counts(await http.get("/analytics/statuses")) == [1, 0, 0, 0]

        await wait_until(are_shown, "the order is shown as placed")
        await cure(engine)
        assert (await http.post("/projections/order_summaries/parked/retry")).json()["applied"] == 1
        assert counts(await http.get("/statistics")) == [0, 0, 0, 1]

        async def are_applied() -> bool:
            return counts(await http.get("/analytics/statuses")) == [0, 0, 0, 1]

        await wait_until(are_applied, "what was applied is shown")


async def test_analytics_are_not_older_than_a_parked_event_that_is_wanted(
    database: str, store: PostgresEventStore
) -> None:
    """I9, as /statistics holds it."""
    async with query_service(database, refresh_seconds=0.1) as http:
        await an_order_whose_cancellation_is_parked(store)
        await append_orders(store, 3)
        await get(http, "/analytics/statuses", await store.head())
        assert_problem(await http.get("/statistics", headers={"Event-Position": "2"}), 503, "read-model-behind")
        assert_problem(await http.get("/analytics/statuses", headers={"Event-Position": "2"}), 503, "read-model-behind")


async def test_analytics_are_refreshed_for_whoever_waits(database: str, store: PostgresEventStore) -> None:
    """I9, though nothing else would refresh them within the time that a read waits."""
    async with query_service(database, refresh_seconds=3600) as http:
        for seed in range(3):
            await append_orders(store, 5, seed=seed)
            head = await store.head()
            answer = await get(http, "/analytics/statuses", head)
            assert (answer.status_code, int(answer.headers["Event-Position"])) == (200, head)


async def test_analytics_do_not_wait_for_projections_that_they_are_not_made_of(
    database: str, engine: AsyncEngine, store: PostgresEventStore
) -> None:
    """Such as one that this release no longer has."""
    async with engine.connect() as connection:
        retired = "INSERT INTO read_model.checkpoints (projection, version, position) VALUES ('retired', 1, 0)"
        await connection.execute(text(retired))
    async with query_service(database, refresh_seconds=0.1) as http:
        await append_orders(store, 20)
        assert (await get(http, "/analytics/statuses", await store.head())).status_code == 200
