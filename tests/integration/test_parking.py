"""A poison event stops its aggregate only: it waits, with what is behind it, until it can be applied (I5)."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from shared.orders.events import OrderCancelled, OrderConfirmed, OrderShipped
from tests.support.apps import query_service
from tests.support.http import assert_problem, get
from tests.support.orders import START, append_orders, commit, placed
from tests.support.processes import daicho
from tests.support.projecting import projected
from tests.support.replay import assert_read_models_equal_a_replay

BAD = '{"reason": 7}'


def poison(event_type: str = "OrderCancelled", data: str = BAD) -> NewEvent:
    return NewEvent(EventId(uuid4()), event_type, 1, data, '{"correlation_id": "bad"}', START)


@pytest.fixture
async def sick(store: PostgresEventStore) -> UUID:
    """An order with a bad event at position 2, among others that are well."""
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed("Sick"))])
    await store.append([Commit(StreamId("order", order_id), Version(1), (poison(),))])
    await append_orders(store, 30)
    return order_id


async def cure(engine: AsyncEngine) -> None:
    """As an upcaster of a new release would; here the log itself is mended, as only a superuser can."""
    async with engine.connect() as connection:
        await connection.execute(text("ALTER TABLE event_store.events DISABLE TRIGGER ALL"))
        await connection.execute(
            text(
                'UPDATE event_store.events SET event_data = \'{"reason": "well"}\' WHERE event_data = CAST(:bad AS jsonb)'
            ),
            {"bad": BAD},
        )


async def parked(http: httpx.AsyncClient, name: str = "order_summaries") -> list[dict[str, Any]]:
    answer = await http.get(f"/projections/{name}/parked")
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()
    return found


async def metric(http: httpx.AsyncClient, name: str) -> list[float]:
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    return [sample.value for sample in families[name].samples]


async def test_all_others_go_on_and_the_parked_one_is_named(
    sick: UUID, store: PostgresEventStore, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    head = await store.head()
    others = (await get(http, "/orders", head, limit=200)).json()["items"]
    assert len(others) == 31
    for name in ("order_summaries", "order_details"):
        (one,) = await parked(http, name)
        assert (one["aggregate_id"], one["position"], one["version"], one["events"]) == (str(sick), 2, 2, 1)
        assert "InvalidEventData: OrderCancelled version 1" in one["error"]
        assert '"reason": 7' not in one["error"]
    records = [vars(one) for phase in ("setup", "call") for one in caplog.get_records(phase)]
    logged = {told["projection"]: told for told in records if told["message"].startswith("events are parked")}
    assert logged.keys() == {"order_summaries", "order_details"}
    for told in logged.values():
        assert (told["aggregate_id"], told["position"], told["correlation_id"]) == (str(sick), 2, "bad")
        assert '"reason": 7' not in told["message"]
    assert await parked(http, "order_items") == []
    assert [one["parked"] for one in (await http.get("/projections")).json()] == [1, 1, 0]
    assert await metric(http, "daicho_projection_parked") == [1, 1, 0]
    ready = await http.get("/health/ready")
    assert ready.status_code == 200
    assert "2 events are parked" in ready.json()["warnings"]["parked"]


async def test_what_comes_behind_waits_and_is_applied_in_order(
    sick: UUID, engine: AsyncEngine, store: PostgresEventStore, http: httpx.AsyncClient
) -> None:
    await get(http, "/orders", await store.head())
    await store.append([commit(sick, 2, OrderConfirmed())])
    head = await store.head()
    await get(http, "/orders", head)
    assert [one["events"] for one in await parked(http)] == [2]
    assert (await http.post("/projections/order_summaries/parked/retry")).json() == {"applied": 0, "parked": 2}
    assert (await parked(http))[0]["attempts"] == 2
    await cure(engine)
    for name in ("order_summaries", "order_details"):
        result = (await http.post(f"/projections/{name}/parked/retry?aggregate_id={sick}")).json()
        assert result == {"applied": 2 if name == "order_summaries" else 1, "parked": 0}
    assert await parked(http) == []
    order = (await http.get(f"/orders/{sick}", headers={"Event-Position": str(head)})).json()
    assert (order["cancellation_reason"], order["version"]) == ("well", 3)
    await store.append([commit(sick, 3, OrderCancelled(reason="again"))])
    assert (await get(http, f"/orders/{sick}", head + 1)).json()["cancellation_reason"] == "again"
    await assert_read_models_equal_a_replay(engine)


async def test_a_parked_order_is_not_shown_older_than_wanted(
    sick: UUID, store: PostgresEventStore, http: httpx.AsyncClient
) -> None:
    """I9: the order itself, and lists for whoever asks for the parked event."""
    await get(http, "/orders", await store.head())
    for _ in range(2):
        answer = await http.get(f"/orders/{sick}", headers={"Event-Position": "1"})
        assert (answer.status_code, answer.headers["Event-Position"]) == (200, "1")
        for path in (f"/orders/{sick}", "/orders", "/statistics"):
            assert_problem(await http.get(path, headers={"Event-Position": "2"}), 503, "read-model-behind")
        assert (await http.get("/orders", headers={"Event-Position": "3"})).status_code == 200


async def test_a_parked_order_is_shown_of_one_position(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    """I5: what comes behind is not shown, though a projection that was not concerned has applied it."""
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed("Mixed"))])
    unknown = NewEvent(EventId(uuid4()), "OrderConfirmed", 99, "{}", '{"correlation_id": "x"}', START)
    await store.append([Commit(StreamId("order", order_id), Version(1), (unknown,))])
    await store.append([commit(order_id, 2, OrderShipped(carrier="Yamato", tracking_number="42"))])
    await append_orders(store, 10)
    await get(http, "/orders", await store.head())
    assert [one["projection"] for one in await parked(http)] == ["order_summaries"]
    assert await parked(http, "order_details") == []
    answer = await http.get(f"/orders/{order_id}")
    order = answer.json()
    assert answer.headers["Event-Position"] == "1"
    assert [order[name] for name in ("version", "status", "shipped_at", "carrier")] == [1, "pending", None, None]
    assert order == (await http.get(f"/orders/{order_id}?version=1")).json()


async def test_an_order_whose_lines_are_parked_is_not_there_yet(
    store: PostgresEventStore, http: httpx.AsyncClient
) -> None:
    order_id = uuid4()
    item = '{"product_name": "x", "quantity": 1, "unit_price": "999999999.99"}'
    data = f'{{"customer_name": "x", "items": [{item}], "total_amount": "1.00", "shipping_address": null}}'
    event = NewEvent(EventId(uuid4()), "OrderPlaced", 2, data, '{"correlation_id": "x"}', START)
    await append_orders(store, 5)
    await store.append([Commit(StreamId("order", order_id), Version(0), (event,))])
    head = await store.head()
    await append_orders(store, 5, seed=1)
    await get(http, "/orders", await store.head())
    assert [one["aggregate_id"] for one in await parked(http, "order_items")] == [str(order_id)]
    problem = assert_problem(await http.get(f"/orders/{order_id}"), 404, "order-not-found")
    assert problem["position"] == head - 1


async def test_an_order_without_lines_is_shown(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    """Such as another writer's; ours refuses it."""
    order_id = uuid4()
    data = '{"customer_name": "x", "items": [], "total_amount": "0.00", "shipping_address": null}'
    event = NewEvent(EventId(uuid4()), "OrderPlaced", 2, data, '{"correlation_id": "x"}', START)
    await store.append([Commit(StreamId("order", order_id), Version(0), (event,))])
    answer = await get(http, f"/orders/{order_id}", await store.head())
    assert (answer.status_code, answer.json()["items"]) == (200, [])


async def test_the_operator_lists_retries_and_discards(sick: UUID, database: str, store: PostgresEventStore) -> None:
    async with query_service(database) as http:
        head = await store.head()
        await get(http, "/orders", head)
        code, output = await daicho(database, "parked", "list", COLUMNS="80")
        assert (code, output.count(str(sick)), "InvalidEventData" in output) == (0, 2, True)
        assert await daicho(database, "parked", "retry") == (0, "0 events applied, 2 are parked still\n")
        code, output = await daicho(database, "parked", "retry", "none")
        assert (code, "there is no projection 'none'" in output) == (1, True)
        code, output = await daicho(database, "parked", "discard", "--aggregate", str(sick))
        assert (code, output.startswith("2 parked events discarded")) == (0, True)
        assert await daicho(database, "parked", "list") == (0, "nothing is parked\n")
        await store.append([commit(sick, 2, OrderConfirmed())])
        assert (await get(http, f"/orders/{sick}", head + 1)).json()["status"] == "confirmed"
        code, output = await daicho(database, "status")
        assert (code, "order_summaries v1" in output, "live" in output) == (0, True, True)


async def test_a_projection_that_stands_still_is_told_of_without_a_service(
    database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PostgresEventStore(engine)
    await projected(database, engine, 10)
    await append_orders(store, 10, seed=1)
    assert "catching-up" in (await daicho(database, "status"))[1]
    monkeypatch.setattr("query_service.projection_statuses._STALLED_SECONDS", 0.0)
    assert "stalled" in (await daicho(database, "status"))[1]


async def test_what_a_table_refuses_is_parked_too(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    """A number that no column holds; and events of an order that was never placed."""
    huge, lost = uuid4(), uuid4()
    item = '{"product_name": "x", "quantity": 1000000, "unit_price": "999999999.99"}'
    data = f'{{"customer_name": "x", "items": [{item}], "shipping_address": null}}'
    event = NewEvent(EventId(uuid4()), "OrderPlaced", 2, data, "{}", START)
    await append_orders(store, 10)
    await store.append([Commit(StreamId("order", huge), Version(0), (event,)), commit(lost, 0, OrderConfirmed())])
    await append_orders(store, 10, seed=1)
    head = await store.head()
    await get(http, "/orders", head)
    found = {one["aggregate_id"]: one["error"] for one in await parked(http)}
    assert found.keys() == {str(huge), str(lost)}
    assert "EventOutOfPlace" in found[str(lost)]
    assert len((await get(http, "/orders", head, limit=200)).json()["items"]) == 20


async def test_all_others_are_current_while_some_are_parked(
    database: str, engine: AsyncEngine, store: PostgresEventStore
) -> None:
    """In the middle of large batches."""
    async with query_service(database) as http:
        sick = [uuid4() for _ in range(3)]
        for number, order_id in enumerate(sick):
            await append_orders(store, 200, seed=number)
            await store.append([commit(order_id, 0, placed())])
            await store.append([Commit(StreamId("order", order_id), Version(1), (poison(),))])
        await append_orders(store, 200, seed=9)
        head = await store.head()
        await get(http, "/orders", head)
        assert {one["aggregate_id"] for one in await parked(http)} == set(map(str, sick))
        await cure(engine)
        assert (await http.post("/projections/order_summaries/parked/retry")).json() == {"applied": 3, "parked": 0}
        assert (await http.post("/projections/order_details/parked/retry")).json() == {"applied": 3, "parked": 0}
    await assert_read_models_equal_a_replay(engine)


async def test_bad_requests_are_refused(http: httpx.AsyncClient) -> None:
    assert_problem(await http.get("/projections/none/parked"), 404, "not-found")
    assert_problem(await http.post("/projections/none/parked/retry"), 404, "not-found")
    for query in ("after=-1", "limit=0", "limit=x", f"after={2**63}"):
        assert_problem(await http.get(f"/projections/order_items/parked?{query}"), 422, "validation-failed")
    assert_problem(await http.post("/projections/order_items/parked/retry?aggregate_id=7"), 422, "validation-failed")
