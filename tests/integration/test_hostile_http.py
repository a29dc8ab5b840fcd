"""Defects of the query HTTP surface, each as a test that fails."""

import asyncio
import time
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from query_service.answer_cache import Answer, AnswerCache
from shared.event_log.events import EventId, NewEvent, Position, StreamId, Version
from shared.orders.events import OrderConfirmed
from tests.support.apps import query_service
from tests.support.http import assert_problem, get
from tests.support.orders import START, append_orders, commit, placed
from tests.support.waiting import wait_until

CANCELLED = "OrderCancelled"


def cancelled(data: str) -> NewEvent:
    return NewEvent(EventId(uuid4()), CANCELLED, 1, data, '{"correlation_id": "x"}', START)


async def an_order_whose_cancellation_is_parked(store: PostgresEventStore) -> UUID:
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed("Sick"))])
    await store.append([Commit(StreamId("order", order_id), Version(1), (cancelled('{"reason": 7}'),))])
    return order_id


async def cure(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("ALTER TABLE event_store.events DISABLE TRIGGER ALL"))
        await connection.execute(
            text("UPDATE event_store.events SET event_data = '{\"reason\": \"well\"}' WHERE event_type = 'OrderCancelled'")
        )


async def test_analytics_show_what_a_retry_has_applied(database: str, engine: AsyncEngine, store: PostgresEventStore) -> None:
    """The view is refreshed by position only, and a retry moves none."""
    async with query_service(database, refresh_seconds=0.1) as http:
        await an_order_whose_cancellation_is_parked(store)
        head = await store.head()
        await get(http, "/orders", head - 1)
        await asyncio.sleep(1)
        before = (await http.get("/analytics/statuses")).json()
        assert [one["count"] for one in before["by_status"]] == [1, 0, 0, 0]
        await cure(engine)
        assert (await http.post("/projections/order_summaries/parked/retry")).json()["applied"] == 1
        live = (await http.get("/statistics")).json()["by_status"]
        assert [one["count"] for one in live] == [0, 0, 0, 1]
        await asyncio.sleep(3)
        assert (await http.get("/analytics/statuses")).json()["by_status"] == live


async def test_analytics_are_not_older_than_a_parked_event_that_is_wanted(database: str, store: PostgresEventStore) -> None:
    """I9, as /statistics holds it."""
    async with query_service(database, refresh_seconds=0.1) as http:
        await an_order_whose_cancellation_is_parked(store)
        await append_orders(store, 3)
        await get(http, "/analytics/statuses", await store.head())
        assert_problem(await http.get("/statistics", headers={"Event-Position": "2"}), 503, "read-model-behind")
        assert_problem(await http.get("/analytics/statuses", headers={"Event-Position": "2"}), 503, "read-model-behind")


@pytest.mark.parametrize("row", ["('retired', 'live', 1, 0, 'following')", None])
async def test_analytics_do_not_wait_for_projections_that_they_are_not_made_of(
    database: str, engine: AsyncEngine, store: PostgresEventStore, row: str | None
) -> None:
    """A projection that a release no longer has, or one that is being rebuilt since its code changed."""
    async with engine.connect() as connection:
        if row:
            await connection.execute(
                text(f"INSERT INTO read_model.checkpoints (projection, generation, version, position, state) VALUES {row}")
            )
    async with query_service(database, refresh_seconds=0.1) as http:
        if row is None:
            await get(http, "/orders", 0)
            async with engine.connect() as connection:
                await connection.execute(
                    text("UPDATE read_model.checkpoints SET version = 99 WHERE projection = 'order_items'")
                )
        await append_orders(store, 20)
        head = await store.head()
        assert (await get(http, "/statistics", head)).status_code == 200
        answer = await http.get("/analytics/statuses", headers={"Event-Position": str(head), "Prefer": "wait=5"})
        assert answer.status_code == 200, answer.text


async def test_a_tag_never_stands_for_two_contents(engine: AsyncEngine, store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    """The order's version is its tag also where one of its projections has not got that far."""
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed())])
    await get(http, f"/orders/{order_id}", 1)
    async with engine.connect() as connection:
        # What only order_details refuses.
        await connection.execute(
            text("ALTER TABLE read_model.order_details ADD CONSTRAINT x CHECK (cancellation_reason <> 'bad')")
        )
    await store.append([Commit(StreamId("order", order_id), Version(1), (cancelled('{"reason": "bad"}'),))])

    async def is_parked() -> bool:
        return len((await http.get("/projections/order_details/parked")).json()) == 1

    await wait_until(is_parked, "the event is parked")
    half = await http.get(f"/orders/{order_id}")
    async with engine.connect() as connection:
        await connection.execute(text("ALTER TABLE read_model.order_details DROP CONSTRAINT x"))
    assert (await http.post("/projections/order_details/parked/retry")).json()["applied"] == 1
    whole = await http.get(f"/orders/{order_id}")
    assert (half.json()["cancellation_reason"], whole.json()["cancellation_reason"]) == (None, "bad")
    again = await http.get(
        f"/orders/{order_id}", headers={"If-None-Match": half.headers.get("ETag", '""'), "Event-Position": "2"}
    )
    assert again.status_code == 200, f"304, Event-Position {again.headers['Event-Position']}: the client keeps {half.json()}"


async def test_a_tag_that_was_given_is_heeded(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    """RFC 9110, 13.1.2."""
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed())])
    path = f"/orders/{order_id}?version=1"
    tag = (await http.get(path)).headers["ETag"]
    assert (await http.get(path, headers={"If-None-Match": tag})).status_code == 304


async def test_of_two_positions_the_later_is_wanted_or_both_are_refused(http: httpx.AsyncClient) -> None:
    """I9."""
    for path in ("/orders", "/events"):
        answer = await http.get(
            path, headers=[("Event-Position", "0"), ("Event-Position", "99"), ("Prefer", "wait=0")]
        )
        assert answer.status_code in {422, 503}, path
        answer = await http.get(f"{path}?min_position=99&min_position=0", headers={"Prefer": "wait=0"})
        assert answer.status_code in {422, 503}, path


async def test_every_prefer_header_is_read(http: httpx.AsyncClient) -> None:
    """RFC 7240, 2: they are one list."""
    started = time.monotonic()
    headers = [("Event-Position", "99"), ("Prefer", "respond-async"), ("Prefer", "wait=0")]
    assert (await http.get("/orders", headers=headers)).status_code == 503
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/orders?limit=x&limit=2", "limit"),
        ("/orders?placed_from=x&placed_from=2026-01-01T00:00:00Z", "placed_from"),
        ("/orders?customer_name=Ben&customer_name=Aiko", "customer_name"),
        ("/events?aggregate_id=x&aggregate_id=00000000-0000-0000-0000-000000000001", "aggregate_id"),
        ("/orders?limit=1_0", "limit"),
        ("/orders?min_total=%D9%A1", "min_total"),
        ("/orders?min_total=1_0", "min_total"),
        ("/statistics/daily?from=0", "from"),
        ("/statistics/daily?from=1700006400&to=2023-11-15", "from"),
        ("/statistics/daily?from=2026-01-01T00:00:00%2B05:00&to=2026-01-02", "from"),
        ("/statistics/daily?from=2000-01-01", "from"),
        ("/projections/order_items/parked?colour=red", "colour"),
        ("/projections?colour=red", "colour"),
    ],
)
async def test_a_bad_parameter_is_named(http: httpx.AsyncClient, path: str, name: str) -> None:
    problem = assert_problem(await http.get(path), 422, "validation-failed")
    assert problem["errors"][0]["pointer"].split(".")[0] == name


async def test_a_wrong_aggregate_id_is_not_taken_for_all(http: httpx.AsyncClient) -> None:
    answer = await http.post("/projections/order_items/parked/retry?aggregate=00000000-0000-0000-0000-000000000001")
    assert_problem(answer, 422, "validation-failed")


async def test_head_is_answered(http: httpx.AsyncClient) -> None:
    assert (await http.head("/orders")).status_code == 200


async def test_the_catalogue_lists_the_stream(http: httpx.AsyncClient) -> None:
    channels = (await http.get("/asyncapi.json")).json()["channels"].values()
    assert "/events/stream" in {channel["address"] for channel in channels}


async def test_openapi_tells_of_conditions(http: httpx.AsyncClient) -> None:
    get_order = (await http.get("/openapi.json")).json()["paths"]["/orders/{order_id}"]["get"]
    names = {parameter["name"].lower() for parameter in get_order["parameters"]}
    assert {"304", "404", "503"} <= set(get_order["responses"])
    assert {"etag", "event-position"} <= {name.lower() for name in get_order["responses"]["200"].get("headers", {})}
    assert "if-none-match" in names
    assert "application/problem+json" in get_order["responses"]["422"]["content"]


async def test_log_routes_wait_for_a_position_too(http: httpx.AsyncClient, store: PostgresEventStore) -> None:
    """SPEC 7: it waits, else 503."""
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed())])
    waiting = [
        asyncio.create_task(http.get(path, headers={"Event-Position": "2", "Prefer": "wait=5"}))
        for path in ("/events", f"/orders/{order_id}/history", f"/orders/{order_id}?version=1")
    ]
    await asyncio.sleep(0.3)
    await store.append([commit(order_id, 1, OrderConfirmed())])
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 3


def test_what_is_older_than_a_restart_is_not_kept() -> None:
    """After a jump that nobody told the aggregates of, an answer of before it may be of a replica that lags."""
    cache, stream = AnswerCache(10**6), StreamId("order", UUID(int=1))
    cache.touch([stream], Position(5))
    cache.clear(Position(100))  # as `Freshness.look` does before it restarts at, say, 100
    cache.put(b"k", Answer(stream, ("p",), Position(50), '"1"', b"", []), cache.epoch)
    assert cache.get(b"k") is None


async def test_an_answer_of_a_read_model_that_was_set_back_is_not_given_as_of_now(
    database: str, engine: AsyncEngine, store: PostgresEventStore
) -> None:
    """I9: test_a_read_model_that_was_set_back_is_found_out, with the cache on and a service that has just started."""
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed())])
    await store.append([commit(order_id, 1, OrderConfirmed())])
    async with query_service(database) as http:
        assert (await get(http, f"/orders/{order_id}", 2)).json()["status"] == "confirmed"
    async with query_service(database, poll_interval=60) as http:
        assert (await get(http, "/statistics", 2)).status_code == 200
        await asyncio.sleep(0.5)  # it has begun to listen
        async with engine.connect() as connection:
            await connection.execute(text("UPDATE read_model.checkpoints SET position = 1"))
            await connection.execute(text("UPDATE read_model.order_summaries SET status = 'pending', version = 1"))
        first = await http.get(f"/orders/{order_id}")
        assert (first.json()["status"], first.headers["Event-Position"]) == ("pending", "1")
        answer = await http.get(f"/orders/{order_id}", headers={"Event-Position": "2"})
        assert answer.status_code == 503, f"{answer.json()['status']} as of {answer.headers['Event-Position']}"
