"""The log over HTTP: `GET /events`, filtered and in pages, and an order's history."""

import asyncio
import json
import random
import re
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import Select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from query_service.event_pages import EventFilters
from query_service.postgres_pages import PostgresEventPages
from shared.event_log.events import EventId, NewEvent, Position, StreamId, Version
from shared.orders.events import OrderCancelled, OrderConfirmed, OrderEvent
from tests.support import golden
from tests.support.apps import ORDER, command_service, query_service
from tests.support.databases import connected
from tests.support.events import WHEN, a_commit, an_event
from tests.support.http import assert_problem, get
from tests.support.orders import append_orders, commit, placed
from tests.support.waiting import wait_until


def as_stored(event_type: str, version: int, data: object, metadata: object = None) -> NewEvent:
    """Make an event as a release wrote it."""
    content = json.dumps({} if metadata is None else metadata)
    return NewEvent(EventId(uuid4()), event_type, version, json.dumps(data), content, WHEN)


async def listed(http: httpx.AsyncClient, **parameters: Any) -> tuple[list[int], int]:
    """Give the positions on one page, and `next_after`."""
    answer = await http.get("/events", params=parameters)
    assert answer.status_code == 200, answer.text
    return [event["position"] for event in answer.json()["items"]], answer.json()["next_after"]


async def test_an_event_tells_what_why_and_when(database: str, http: httpx.AsyncClient) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with command_service(database) as commands:
        headers = {"X-Correlation-ID": "story-1", "traceparent": trace}
        answer = await commands.post("/orders", json=ORDER, headers=headers)
    page = await http.get("/events")
    assert page.headers["Event-Position"] == "1"
    (event,) = page.json()["items"]
    metadata = event.pop("metadata")
    UUID(metadata.pop("causation_id"))
    assert metadata == {"correlation_id": "story-1", "traceparent": trace}
    assert UUID(event.pop("event_id")).version == 7
    assert event.pop("occurred_at").endswith("Z")
    assert event.pop("data")["customer_name"] == ORDER["customer_name"]
    assert event == {
        "position": 1,
        "aggregate_type": "order",
        "aggregate_id": answer.json()["order_id"],
        "version": 1,
        "event_type": "OrderPlaced",
        "schema_version": 2,
    }


async def test_pages_follow_each_other_to_the_end_and_on(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    assert await listed(http) == ([], 0)
    total = await append_orders(store, 100)
    seen: list[int] = []
    after = 0
    while True:
        positions, after = await listed(http, after=after, limit=37)
        if not positions:
            break
        assert after == positions[-1]
        seen += positions
    assert seen == list(range(1, total + 1))
    assert after == total
    await store.append([a_commit()])
    assert await listed(http, after=after) == ([total + 1], total + 1)
    assert await listed(http, after=10**9) == ([], 10**9)


async def test_events_are_found_by_type_aggregate_and_story(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    one, two = uuid4(), uuid4()
    story = {"correlation_id": "return-17"}
    await store.append([commit(one, 0, placed()), commit(two, 0, placed())])
    await store.append([commit(two, 1, OrderConfirmed())])
    event = as_stored("OrderCancelled", 1, {"reason": "late"}, story)
    await store.append([Commit(StreamId("order", two), Version(2), (event,))])
    event = as_stored("OrderConfirmed", 1, {}, story)
    await store.append([Commit(StreamId("order", one), Version(1), (event,))])
    assert await listed(http, event_type="OrderConfirmed") == ([3, 5], 5)
    assert await listed(http, event_type=["OrderConfirmed", "OrderCancelled"]) == ([3, 4, 5], 5)
    both = ["OrderConfirmed", "OrderCancelled"]
    assert await listed(http, event_type=both, limit=2) == ([3, 4], 4)
    assert await listed(http, event_type=[*both, *both], after=3) == ([4, 5], 5)
    assert await listed(http, event_type=both, aggregate_id=str(two)) == ([3, 4], 5)
    assert await listed(http, aggregate_id=str(two)) == ([2, 3, 4], 5)
    assert await listed(http, aggregate_id=str(two), after=2, limit=1) == ([3], 3)
    assert await listed(http, correlation_id="return-17") == ([4, 5], 5)
    assert await listed(http, correlation_id="return-17", event_type="OrderCancelled") == ([4], 5)
    assert await listed(http, correlation_id="return") == ([], 5)
    assert await listed(http, event_type="OrderLost", after=3) == ([], 5)
    assert await listed(http, aggregate_id=str(uuid4())) == ([], 5)


@pytest.mark.parametrize(
    "parameters",
    [
        {"after": -1}, {"after": 2**63}, {"limit": 0}, {"limit": 1001}, {"limit": "many"}, {"aggregate_id": "x"},
        {"correlation_id": ""}, {"correlation_id": "a b"}, {"correlation_id": "x" * 256}, {"schema": "old"}, {"types": "x"},
        {"event_type": ["x"] * 51}, {"event_type": "\0"}, {"event_type": "a b"}, {"event_type": ""}, {"event_type": "x" * 201},
    ],
)  # fmt: skip
async def test_bad_parameters_are_named(http: httpx.AsyncClient, parameters: dict[str, Any]) -> None:
    problem = assert_problem(await http.get("/events", params=parameters), 422, "validation-failed")
    assert problem["errors"][0]["pointer"].split(".")[0] == next(iter(parameters))


async def test_a_history_shows_a_v1_order_as_stored_and_as_it_reads_now(
    store: PostgresEventStore, http: httpx.AsyncClient
) -> None:
    """As an old release would have written it; it is read and projected too."""
    event = golden.load_event("OrderPlaced", 1)
    order_id = uuid4()
    stored = as_stored("OrderPlaced", 1, event.data)
    await store.append([Commit(StreamId("order", order_id), Version(0), (stored,))])
    await store.append([commit(order_id, 1, OrderConfirmed())])
    for path in (f"/orders/{order_id}/history", "/events"):
        now, then = [
            (await http.get(path, params={"schema": schema})).json()["items"] for schema in ("current", "stored")
        ]
        assert (now[0]["schema_version"], now[0]["data"]) == (2, event.reads_as)
        assert (then[0]["schema_version"], then[0]["data"]) == (1, event.data)
        assert now[1] == then[1]
        assert (await http.get(path)).json()["items"] == now
    order = (await get(http, f"/orders/{order_id}", 2)).json()
    assert (order["status"], order["shipping_address"], order["total_amount"]) == ("confirmed", None, "25.00")
    assert (await http.get(f"/orders/{order_id}?version=1")).json() == {
        **order, "status": "pending", "version": 1, "confirmed_at": None,
    }  # fmt: skip


async def test_a_v1_order_takes_commands(database: str, store: PostgresEventStore) -> None:
    order_id = uuid4()
    stored = as_stored("OrderPlaced", 1, golden.load_event("OrderPlaced", 1).data)
    await store.append([Commit(StreamId("order", order_id), Version(0), (stored,))])
    async with command_service(database) as commands:
        assert (await commands.post(f"/orders/{order_id}/confirm")).json()["version"] == 2


@pytest.mark.parametrize(
    ("event_type", "version", "data"),
    [("OrderLost", 1, {"x": 1}), ("OrderPlaced", 3, {"new": True}), ("OrderPlaced", 1, {"customer_name": 7})],
)
async def test_what_this_release_cannot_read_is_shown_as_stored(
    store: PostgresEventStore, http: httpx.AsyncClient, event_type: str, version: int, data: dict[str, Any]
) -> None:
    order_id = uuid4()
    stored = as_stored(event_type, version, data)
    await store.append([Commit(StreamId("order", order_id), Version(0), (stored,))])
    for path in (f"/orders/{order_id}/history", "/events"):
        (event,) = (await http.get(path)).json()["items"]
        assert (event["event_type"], event["schema_version"], event["data"]) == (event_type, version, data)
    problem = assert_problem(await http.get(f"/orders/{order_id}?version=1"), 503, "unavailable")
    assert f"{event_type} version {version}" in problem["detail"]


@pytest.mark.parametrize("first", [OrderConfirmed(), OrderCancelled(reason="x")])
async def test_a_stream_that_begins_in_the_middle_is_shown_but_not_folded(
    store: PostgresEventStore, http: httpx.AsyncClient, first: OrderEvent
) -> None:
    order_id = uuid4()
    await store.append([commit(order_id, 0, first)])
    assert len((await http.get(f"/orders/{order_id}/history")).json()["items"]) == 1
    for when in ("version=1", "as_of=2030-01-01T00:00:00Z"):
        problem = assert_problem(await http.get(f"/orders/{order_id}?{when}"), 503, "unavailable")
        assert "it is about an order that was not placed" in problem["detail"]


async def test_pages_are_bounded_in_bytes_too(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    """Of what cannot be compressed; one that is larger than a page is alone on it."""
    randomness = random.Random(1)
    for size in (3_000_000, 3_000_000, 100, 9_000_000, 100):
        noise = randomness.randbytes(size // 2).hex()
        await store.append([a_commit(None, 0, an_event(data={"noise": noise}))])
    pages, after = [], 0
    while True:
        positions, after = await listed(http, after=after, limit=10)
        pages.append(positions)
        if not positions:
            break
    assert [position for page in pages for position in page] == [1, 2, 3, 4, 5]
    assert len(pages) > 3


async def test_there_is_no_history_of_what_does_not_exist(http: httpx.AsyncClient) -> None:
    assert_problem(await http.get(f"/orders/{uuid4()}/history"), 404, "order-not-found")
    assert_problem(await http.get("/orders/7/history"), 422, "validation-failed")


async def test_the_log_is_served_though_no_projection_moves(database: str, store: PostgresEventStore) -> None:
    await store.append([Commit(StreamId("order", uuid4()), Version(0), (as_stored("OrderPlaced", 2, {"bad": 1}),))])
    async with query_service(database) as http:
        assert (await listed(http))[0] == [1]


async def test_numbers_and_text_are_shown_exactly_as_they_are_stored(
    store: PostgresEventStore, http: httpx.AsyncClient
) -> None:
    event = an_event(data={"big": 12345678901234567890, "text": 'line\n"\u2028台帳'})
    await store.append([a_commit(None, 0, event)])
    async with http.stream("GET", "/events") as answer:
        raw = (await answer.aread()).decode()
    assert "12345678901234567890" in raw
    assert json.loads(raw)["items"][0]["data"]["text"] == 'line\n"\u2028台帳'


async def test_each_filter_looks_at_nothing_else(engine: AsyncEngine) -> None:
    """On a log where what is looked for is at its end, rare or not, and by a plan that is for any parameters."""
    store = PostgresEventStore(engine)
    await append_orders(store, 4000)
    stream = StreamId("order", uuid4())
    rare = as_stored("OrderCancelled", 1, {"reason": "x"}, {"correlation_id": "rare"})
    await store.append([Commit(stream, Version(0), (rare,))])
    late = [as_stored(name, 1, {}, {"correlation_id": "late"}) for name in ("Lost", "Found") for _ in range(300)]
    await store.append([Commit(StreamId("order", uuid4()), Version(0), tuple(late))])
    by_type, by_story = "events_event_type_position_idx", "events_correlation_id_position_idx"
    wanted = {
        "a rare story": (EventFilters(correlation_id="rare"), by_story, 1),
        "a late story": (EventFilters(correlation_id="late"), by_story, 1),
        "a late story's type": (EventFilters(["Found"], correlation_id="late"), by_story, 1),
        "a stream": (EventFilters(aggregate_id=stream.aggregate_id), "events_stream_version_key", 1),
        "no such type": (EventFilters(["None"]), by_type, 1),
        "a late type": (EventFilters(["Lost"]), by_type, 1),
        "late types": (EventFilters(["Lost", "Found"]), by_type, 2),
    }
    async with engine.connect() as connection:
        await connection.execute(text("ANALYZE event_store.events"))
        for name, (filters, index, walks) in wanted.items():
            plan = await _generic_plan(
                connection, PostgresEventPages(engine, ["order"]).query(Position(0), 100, filters)
            )
            assert plan.count(index) == walks, f"{name}:\n{plan}"
            assert "Seq Scan" not in plan, f"{name}:\n{plan}"
            removed = sum(int(rows) for rows in re.findall(r"Rows Removed by Filter: (\d+)", plan))
            assert removed <= 300, f"{name}:\n{plan}"


async def _generic_plan(connection: AsyncConnection, query: Select[Any]) -> str:
    compiled: Any = query.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    raw: Any = (await connection.get_raw_connection()).driver_connection
    values = ", ".join(f"'{compiled.params[name]}'" for name in compiled.positiontup)
    await raw.execute("SET plan_cache_mode = force_generic_plan")
    await raw.execute(f"PREPARE wanted AS {compiled}")
    rows = await raw.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE wanted ({values})")
    await raw.execute("DEALLOCATE wanted")
    return "\n".join(row[0] for row in rows)


async def test_a_page_is_bounded_in_what_it_takes_in_memory(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    """Documents that compress well are large all the same."""
    for _ in range(12):
        await store.append([a_commit(None, 0, an_event(data={"text": "x" * 1_000_000}))])
    page = (await http.get("/events?limit=1000")).json()
    assert len(page["items"]) == 5
    rest = (await http.get(f"/events?limit=1000&after={page['next_after']}")).json()
    assert [event["position"] for event in rest["items"]] == [6, 7, 8, 9, 10]


async def test_the_log_is_not_shown_older_than_wanted(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    """I9: as after a failover; what the client knows of is not denied, either."""
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed())])
    for path in (
        "/events", f"/orders/{order_id}/history", f"/orders/{order_id}?version=1", f"/orders/{order_id}?version=2",
        f"/orders/{order_id}?as_of=2000-01-01T00:00:00Z", f"/orders/{uuid4()}?version=1", f"/orders/{uuid4()}/history",
    ):  # fmt: skip
        at_once = {"Prefer": "wait=0"}
        assert_problem(await http.get(path, headers={"Event-Position": "2", **at_once}), 503, "read-model-behind")
        wanted = f"{path}{'&' if '?' in path else '?'}min_position=2"
        assert_problem(await http.get(wanted, headers=at_once), 503, "read-model-behind")
    assert (await http.get("/events", headers={"Event-Position": "1"})).status_code == 200


async def test_what_the_database_cancels_may_be_tried_again(
    database: str, engine: AsyncEngine, store: PostgresEventStore
) -> None:
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed())])
    async with query_service(database, answer_cache_bytes=0) as http, connected(database, autocommit=False) as locking:
        await get(http, f"/orders/{order_id}", 1)
        async with locking.begin() as connection:
            await connection.execute(text("LOCK TABLE event_store.events, read_model.order_details"))
            for path in (f"/orders/{order_id}", f"/orders/{order_id}/history", "/events"):
                answer = asyncio.create_task(http.get(path))
                await wait_until(lambda: _cancel_reads(engine), "the read waits for the lock, and is cancelled")
                assert_problem(await answer, 503, "unavailable")
        assert (await http.get(f"/orders/{order_id}")).status_code == 200


async def _cancel_reads(engine: AsyncEngine) -> bool:
    query = text("""
        SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
            AND application_name IN ('daicho-query', 'daicho-query-log')
    """)
    async with engine.connect() as connection:
        return bool(await connection.scalar(query))
