"""The query service over HTTP: answers, filters, pages, problems."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr
from sqlalchemy import text

from command_service.postgres_store import PostgresEventStore
from query_service.cursor import encode_cursor
from query_service.orders.listing import _name
from query_service.orders.parameters import OrderFilters, Sort
from shared.orders.events import OrderCancelled, OrderConfirmed, OrderShipped
from tests.support.apps import ORDER, command_service, query_service
from tests.support.databases import Server, cloned, connected
from tests.support.documented import watched
from tests.support.http import assert_problem, get
from tests.support.orders import START, commit, placed
from tests.support.waiting import wait_until


async def ids(http: httpx.AsyncClient, position: int, **parameters: Any) -> list[int]:
    """Give the numbers of the orders on one page; `an_order` makes their ids."""
    answer = await get(http, "/orders", position, **parameters)
    assert answer.status_code == 200, answer.text
    return [UUID(order["order_id"]).int for order in answer.json()["items"]]


async def ten_orders(store: PostgresEventStore) -> int:
    """Place orders 1 … 10, a minute apart, for number × 10.00; 1 and 2 shipped, 3 cancelled, 4 confirmed."""
    for number in range(1, 11):
        customer = ["Aiko", "Aiko Tanaka", "Ben", "100%_\\"][number % 4]
        at = START + timedelta(minutes=number)
        await store.append([commit(UUID(int=number), 0, placed(customer, f"{number}0.00"), at=at)])
    for number in (1, 2, 4):
        await store.append([commit(UUID(int=number), 1, OrderConfirmed())])
    for number in (1, 2):
        await store.append([commit(UUID(int=number), 2, OrderShipped(carrier="Yamato", tracking_number=None))])
    await store.append([commit(UUID(int=3), 1, OrderCancelled(reason="late"))])
    return await store.head()


async def test_an_order_is_shown_in_full(database: str, http: httpx.AsyncClient) -> None:
    async with command_service(database) as commands:
        placed_order = await commands.post("/orders", json=ORDER)
        order_id = placed_order.json()["order_id"]
        await commands.post(f"/orders/{order_id}/confirm")
        shipped = await commands.post(f"/orders/{order_id}/ship", json={"carrier": "Yamato", "tracking_number": "9"})
    answer = await get(http, f"/orders/{order_id}", int(shipped.headers["Event-Position"]))
    order = answer.json()
    times = {name: order.pop(name) for name in ("placed_at", "confirmed_at", "shipped_at")}
    assert all(at.endswith("Z") for at in times.values())
    assert order == {
        "order_id": order_id,
        "customer_name": "Aiko Tanaka",
        "total_amount": "73.00",
        "status": "shipped",
        "item_count": 2,
        "cancelled_at": None,
        "version": 3,
        "items": [
            {"product_name": "Sencha", "quantity": 2, "unit_price": "12.50", "subtotal": "25.00"},
            {"product_name": "Teapot", "quantity": 1, "unit_price": "48.00", "subtotal": "48.00"},
        ],
        "shipping_address": {**ORDER["shipping_address"], "line2": None},
        "carrier": "Yamato",
        "tracking_number": "9",
        "cancellation_reason": None,
    }
    assert answer.headers["ETag"] == '"3"'
    assert answer.headers["Event-Position"] == "3"


async def test_orders_are_listed_newest_first(http: httpx.AsyncClient, store: PostgresEventStore) -> None:
    head = await ten_orders(store)
    answer = await get(http, "/orders", head)
    assert [UUID(order["order_id"]).int for order in answer.json()["items"]] == list(range(10, 0, -1))
    assert answer.json()["next_cursor"] is None
    assert answer.headers["Event-Position"] == str(head)
    assert set(answer.json()["items"][0]) == {
        "order_id", "customer_name", "total_amount", "status", "item_count", "placed_at", "confirmed_at", "shipped_at",
        "cancelled_at", "version",
    }  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ten(postgres: Server, template: str) -> AsyncIterator[tuple[httpx.AsyncClient, int]]:
    """A service with ten orders that nobody changes, and the log's head."""
    async with cloned(postgres, template) as url, connected(url) as engine, query_service(url) as client:
        yield watched(client, "query"), await ten_orders(PostgresEventStore(engine))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"sort": "placed_at"}, list(range(1, 11))),
        ({"sort": "-total_amount"}, list(range(10, 0, -1))),
        ({"sort": "total_amount", "limit": 3}, [1, 2, 3]),
        ({"status": "shipped"}, [2, 1]),
        ({"status": ["shipped", "cancelled"]}, [3, 2, 1]),
        ({"customer_name": "Aiko"}, [8, 4]),
        ({"customer_name": "aiko"}, []),
        ({"q": "Aiko"}, [9, 8, 5, 4, 1]),
        ({"q": "100%_"}, [7, 3]),
        ({"q": "%"}, []),
        ({"q": "_"}, []),
        ({"min_total": "30", "max_total": "50.00"}, [5, 4, 3]),
        ({"placed_from": "2026-03-01T00:03:00Z", "placed_to": "2026-03-01T00:05:00Z"}, [4, 3]),
        ({"placed_from": "2026-03-01T09:09:00+09:00"}, [10, 9]),
        ({"min_total": "100000000"}, []),
        ({"min_total": "99.99", "max_total": "999999999999999999.99"}, [10]),
        ({"status": "shipped", "customer_name": "Ben"}, [2]),
        ({"placed_to": "0001-01-01T00:00:00Z"}, []),
    ],
)
async def test_orders_are_filtered_and_sorted(
    ten: tuple[httpx.AsyncClient, int], parameters: dict[str, Any], wanted: list[int]
) -> None:
    assert await ids(*ten, **parameters) == wanted


async def test_statistics_follow_the_orders(http: httpx.AsyncClient, store: PostgresEventStore) -> None:
    empty = (await http.get("/statistics")).json()
    assert (empty["total_count"], empty["total_revenue"]) == (0, "0.00")
    answer = await get(http, "/statistics", await ten_orders(store))
    assert answer.json() == {
        "total_count": 10,
        "total_revenue": "30.00",
        "by_status": [
            {"status": "pending", "count": 6, "total_revenue": "450.00", "average_order_value": "75.00"},
            {"status": "confirmed", "count": 1, "total_revenue": "40.00", "average_order_value": "40.00"},
            {"status": "shipped", "count": 2, "total_revenue": "30.00", "average_order_value": "15.00"},
            {"status": "cancelled", "count": 1, "total_revenue": "30.00", "average_order_value": "30.00"},
        ],
    }


async def test_an_order_that_does_not_exist_is_not_found(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/orders/{uuid4()}")
    assert assert_problem(answer, 404, "order-not-found")["position"] == 0
    assert answer.headers["Event-Position"] == "0"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/orders?colour=red", "colour"),
        ("/orders?statuses=shipped", "statuses"),
        ("/orders?Status=shipped", "Status"),
        ("/orders?offset=10&page=2", "page"),
        ("/orders?cursor=" + "A" * 501, "cursor"),
        ("/orders?limit=0", "limit"),
        ("/orders?limit=201", "limit"),
        ("/orders?limit=-1", "limit"),
        ("/orders?limit=99999999999999999999999999", "limit"),
        ("/orders?limit=1e2", "limit"),
        ("/orders?limit=10.5", "limit"),
        ("/orders?limit=", "limit"),
        ("/orders?limit=x", "limit"),
        ("/orders?sort=name", "sort"),
        ("/orders?status=lost", "status.0"),
        ("/orders?status=shipped&status=", "status.1"),
        ("/orders?" + "&".join(["status=shipped"] * 21), "status"),
        ("/orders?placed_from=2026-01-01T00:00:00", "placed_from"),
        ("/orders?placed_from=yesterday", "placed_from"),
        ("/orders?placed_from=2026-01-01", "placed_from"),
        ("/orders?placed_from=2026", "placed_from"),
        ("/orders?placed_from=1767225600", "placed_from"),
        ("/orders?placed_from=-1e400", "placed_from"),
        ("/orders?placed_from=", "placed_from"),
        ("/orders?placed_to=2026-02-30T00:00:00Z", "placed_to"),
        ("/orders?placed_to=2026-01-01T00:00:00%2B25:00", "placed_to"),
        ("/orders?placed_to=10000-01-01T00:00:00Z", "placed_to"),
        ("/orders?placed_to=0001-01-01T00:00:00%2B14:00", "placed_to"),
        ("/orders?min_total=-1", "min_total"),
        ("/orders?min_total=NaN", "min_total"),
        ("/orders?min_total=-0.01", "min_total"),
        ("/orders?min_total=Infinity", "min_total"),
        ("/orders?min_total=1.001", "min_total"),
        ("/orders?min_total=" + "9" * 400, "min_total"),
        ("/orders?max_total=1e999999", "max_total"),
        ("/orders?max_total=1e-999999", "max_total"),
        ("/orders?max_total=", "max_total"),
        ("/orders?q=%00", "q"),
        ("/orders?q=", "q"),
        ("/orders?q=%20", "q"),
        ("/orders?q=" + "x" * 201, "q"),
        ("/orders?customer_name=a%1Fb", "customer_name"),
        ("/orders?min_position=-1", "min_position"),
        ("/orders?min_position=99999999999999999999", "min_position"),
        ("/orders/1", "order_id"),
        (f"/orders/{UUID(int=1)}?colour=red", "colour"),
        ("/statistics?colour=red", "colour"),
    ],
)
async def test_a_bad_parameter_is_refused_by_name(
    refusing_queries: httpx.AsyncClient, path: str, parameter: str
) -> None:
    problem = assert_problem(await refusing_queries.get(path), 422, "validation-failed")
    assert parameter in [error["pointer"] for error in problem["errors"]]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("cursor", ["x", "", "AAAA", "é", "A" * 400, "=" * 8, "W10", "[]", "%00", "null"])
async def test_a_bad_cursor_is_refused(refusing_queries: httpx.AsyncClient, cursor: str) -> None:
    assert_problem(await refusing_queries.get("/orders", params={"cursor": cursor}), 422, "invalid-cursor")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("sort", "keys"),
    [
        ("placed_at", []),
        ("placed_at", ["2026-01-01T00:00:00", str(UUID(int=1))]),
        ("placed_at", ["0001-01-01T00:00:00+14:00", str(UUID(int=1))]),
        ("placed_at", ["2026-01-01T00:00:00Z", "1"]),
        ("placed_at", ["2026-01-01T00:00:00Z"]),
        ("total_amount", ["NaN", str(UUID(int=1))]),
        ("total_amount", ["1e999999", str(UUID(int=1))]),
        ("total_amount", ["-1.00", str(UUID(int=1))]),
        ("total_amount", ["1.00", str(UUID(int=1)), "more"]),
    ],
)
async def test_a_forged_cursor_is_refused(refusing_queries: httpx.AsyncClient, sort: Sort, keys: list[str]) -> None:
    cursor = encode_cursor(_name(OrderFilters(sort=sort)), keys)
    assert_problem(
        await refusing_queries.get("/orders", params={"sort": sort, "cursor": cursor}), 422, "invalid-cursor"
    )


async def test_a_cursor_is_of_its_own_sort_and_filters(http: httpx.AsyncClient, store: PostgresEventStore) -> None:
    head = await ten_orders(store)
    own: dict[str, Any] = {"status": ["pending", "shipped"], "min_total": "10", "placed_from": "2026-03-01T00:00:00Z"}
    cursor = (await get(http, "/orders", head, limit=3, **own)).json()["next_cursor"]
    others: list[dict[str, Any]] = [
        {},
        {**own, "sort": "placed_at"},
        {**own, "sort": "total_amount"},
        {**own, "status": ["pending"]},
        {**own, "min_total": "10.01"},
        {**own, "max_total": "1000"},
        {**own, "q": "A"},
        {**own, "customer_name": "Aiko"},
        {**own, "placed_from": "2026-03-01T00:00:01Z"},
        {**own, "placed_to": "2027-03-01T00:00:00Z"},
    ]
    for other in others:
        assert_problem(await http.get("/orders", params={**other, "cursor": cursor}), 422, "invalid-cursor")
    same = {**own, "status": ["shipped", "pending", "shipped"], "placed_from": "2026-03-01T09:00:00+09:00"}
    for one in (own, same, {**own, "limit": 4, "sort": "-placed_at"}):
        assert await ids(http, head, cursor=cursor, **{"limit": 3, **one}) == [7, 6, 5, 2][: one.get("limit", 3)]


async def test_a_cursor_altered_or_cut_is_refused(http: httpx.AsyncClient, store: PostgresEventStore) -> None:
    cursor = (await get(http, "/orders", await ten_orders(store), limit=3)).json()["next_cursor"]
    altered = cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1]
    for wrong in (altered, cursor[:-1], cursor[1:], cursor + "A", cursor + "=", cursor.swapcase()):
        assert_problem(await http.get("/orders", params={"cursor": wrong}), 422, "invalid-cursor")


async def test_framework_errors_are_problems(http: httpx.AsyncClient) -> None:
    assert_problem(await http.get("/nothing"), 404, "not-found")
    assert_problem(await http.delete("/orders"), 405, "method-not-allowed")


async def test_projections_tell_their_lag(http: httpx.AsyncClient, store: PostgresEventStore) -> None:
    head = await ten_orders(store)
    await get(http, "/orders", head)
    answer = await http.get("/projections")
    assert [one["name"] for one in answer.json()] == ["order_summaries", "order_details", "order_items"]
    for one in answer.json():
        assert [(part["number"], part["position"]) for part in one["partitions"]] == [(0, head)]
        assert one == {
            "name": one["name"], "version": 1, "state": "live", "position": head, "head": head, "lag_events": 0,
            "lag_seconds": 0.0, "parked": 0, "partitions": one["partitions"], "rebuild": None, "can_undo": False,
            "last_rebuild": None,
        }  # fmt: skip


async def test_the_read_model_may_live_in_another_database(
    postgres: Server, template: str, database: str, store: PostgresEventStore
) -> None:
    async with cloned(postgres, template) as other, query_service(database, read_database_url=SecretStr(other)) as http:
        head = await ten_orders(store)
        assert (await get(http, "/statistics", head)).json()["total_count"] == 10
        async with connected(other, 1) as engine, engine.connect() as connection:
            assert await connection.scalar(text("SELECT count(*) FROM read_model.order_summaries")) == 10
            assert await connection.scalar(text("SELECT count(*) FROM event_store.events")) == 0


async def test_a_service_without_its_database_answers_503(postgres: Server, database: str) -> None:
    name = database.rpartition("/")[2].partition("?")[0]
    async with query_service(database) as http, command_service(database, command_deadline=3) as commands:
        assert (await http.get("/orders")).status_code == 200
        assert (await commands.post("/orders", json=ORDER)).status_code == 201
        async with connected(postgres.admin_url, 1) as admin, admin.connect() as connection:
            await connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
            kill = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name"
            await connection.execute(text(kill), {"name": name})
            try:
                assert_problem(await http.get("/orders?status=shipped"), 503, "unavailable")
                answer = await commands.post("/orders", json=ORDER)
                assert answer.json()["type"].rpartition(":")[2] in {"unavailable", "outcome-unknown"}
                for client in (http, commands):
                    assert_problem(await client.get("/health/ready"), 503, "unavailable")
                    assert (await client.get("/health/live")).status_code == 200
            finally:
                await connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        await wait_until(lambda: _answers(http), "the service answers again")
        assert (await commands.post("/orders", json=ORDER)).status_code == 201


async def _answers(http: httpx.AsyncClient) -> bool:
    return (await http.get("/health/ready")).is_success


async def test_the_openapi_document_names_the_position_headers(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    for path in ("/orders", "/orders/{order_id}", "/statistics"):
        names = [parameter["name"] for parameter in document["paths"][path]["get"]["parameters"]]
        assert {"Event-Position", "Prefer", "min_position"} <= set(names)


@pytest.mark.asyncio(loop_scope="module")
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
async def test_a_bad_parameter_is_named(refusing_queries: httpx.AsyncClient, path: str, name: str) -> None:
    problem = assert_problem(await refusing_queries.get(path), 422, "validation-failed")
    assert problem["errors"][0]["pointer"].split(".")[0] == name


async def test_a_wrong_aggregate_id_is_not_taken_for_all(http: httpx.AsyncClient) -> None:
    answer = await http.post("/projections/order_items/parked/retry?aggregate=00000000-0000-0000-0000-000000000001")
    assert_problem(answer, 422, "validation-failed")


async def test_head_is_answered(http: httpx.AsyncClient) -> None:
    assert (await http.head("/orders")).status_code == 200
