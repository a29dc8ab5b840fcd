"""The command service over HTTP: answers, headers, problems; a refused command changes nothing (I6)."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER, command_service

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def http(database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with command_service(database) as client:
        yield client


async def place(http: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await http.post("/orders", json=ORDER, headers=headers)


async def events(engine: AsyncEngine) -> list[Any]:
    async with engine.connect() as connection:
        return list(await connection.execute(text("SELECT * FROM event_store.events ORDER BY position")))


def assert_problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["status"], problem["type"]) == (status, status, f"urn:daicho:problem:{slug}")
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"]
    assert "X-Correlation-ID" in answer.headers
    if status == 503:
        assert int(answer.headers["Retry-After"]) >= 1
    return problem


async def test_an_order_is_placed_confirmed_and_shipped(http: httpx.AsyncClient, engine: AsyncEngine) -> None:
    placed = await place(http)
    order_id = placed.json()["order_id"]
    assert (placed.status_code, placed.headers["Location"]) == (201, f"/orders/{order_id}")
    assert placed.json() == {"order_id": order_id, "status": "pending", "version": 1, "position": 1}
    assert (placed.headers["ETag"], placed.headers["Event-Position"]) == ('"1"', "1")
    assert UUID(order_id).version == 7
    confirmed = await http.post(f"/orders/{order_id}/confirm")
    assert (confirmed.status_code, confirmed.json()["status"], confirmed.headers["ETag"]) == (200, "confirmed", '"2"')
    shipped = await http.post(f"/orders/{order_id}/ship", json={"carrier": "Yamato", "tracking_number": "1234"})
    assert shipped.json() == {"order_id": order_id, "status": "shipped", "version": 3, "position": 3}
    recorded = await events(engine)
    assert [event.event_type for event in recorded] == ["OrderPlaced", "OrderConfirmed", "OrderShipped"]
    assert recorded[0].event_data["total_amount"] == "73.00"
    assert recorded[2].event_data == {"carrier": "Yamato", "tracking_number": "1234"}


async def test_an_order_is_cancelled_with_a_reason(http: httpx.AsyncClient, engine: AsyncEngine) -> None:
    order_id = (await place(http)).json()["order_id"]
    answer = await http.post(f"/orders/{order_id}/cancel", json={"reason": "  changed my mind  "})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert (await events(engine))[1].event_data == {"reason": "changed my mind"}


async def test_a_client_may_name_the_order(http: httpx.AsyncClient) -> None:
    order_id = str(uuid4())
    answer = await http.post("/orders", json={**ORDER, "order_id": order_id})
    assert answer.json()["order_id"] == order_id
    assert_problem(await http.post("/orders", json={**ORDER, "order_id": order_id}), 409, "order-already-exists")


async def test_a_command_on_no_order_is_not_found(http: httpx.AsyncClient, engine: AsyncEngine) -> None:
    for verb, body in (("confirm", {}), ("ship", {}), ("cancel", {"reason": "x"})):
        answer = await http.post(f"/orders/{uuid4()}/{verb}", json=body)
        assert_problem(answer, 404, "order-not-found")
    assert await events(engine) == []


async def test_an_invalid_transition_tells_the_orders_status(http: httpx.AsyncClient, engine: AsyncEngine) -> None:
    order_id = (await place(http)).json()["order_id"]
    problem = assert_problem(await http.post(f"/orders/{order_id}/ship"), 409, "invalid-transition")
    assert problem["order_status"] == "pending"
    assert len(await events(engine)) == 1


async def test_of_50_concurrent_confirms_one_succeeds(http: httpx.AsyncClient, engine: AsyncEngine) -> None:
    order_id = (await place(http)).json()["order_id"]
    answers = await asyncio.gather(*(http.post(f"/orders/{order_id}/confirm") for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    for answer in answers:
        if answer.status_code == 409:
            assert_problem(answer, 409, "invalid-transition")
    assert len(await events(engine)) == 2


async def test_of_50_concurrent_confirms_with_if_match_the_losers_get_412(http: httpx.AsyncClient) -> None:
    order_id = (await place(http)).json()["order_id"]
    confirm = [http.post(f"/orders/{order_id}/confirm", headers={"If-Match": '"1"'}) for _ in range(50)]
    answers = await asyncio.gather(*confirm)
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 49
    for answer in answers:
        if answer.status_code == 412:
            assert assert_problem(answer, 412, "version-mismatch")["version"] == 2


async def test_if_match_of_another_version_changes_nothing(http: httpx.AsyncClient, engine: AsyncEngine) -> None:
    order_id = (await place(http)).json()["order_id"]
    for version in ("0", "2", "999999999"):
        answer = await http.post(f"/orders/{order_id}/confirm", headers={"If-Match": f'"{version}"'})
        assert assert_problem(answer, 412, "version-mismatch")["version"] == 1
    assert len(await events(engine)) == 1
    assert (await http.post(f"/orders/{order_id}/confirm", headers={"If-Match": '"1"'})).status_code == 200


async def test_if_match_cannot_create(http: httpx.AsyncClient, engine: AsyncEngine) -> None:
    assert_problem(await place(http, **{"If-Match": '"3"'}), 412, "version-mismatch")
    assert await events(engine) == []


async def test_50_posts_with_one_key_place_one_order(
    database: str, http: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    """I7."""
    key = {"Idempotency-Key": "order-1"}
    answers = await asyncio.gather(*(place(http, **key) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers].count("true") == 49
    async with command_service(database) as restarted:
        again = await place(restarted, **key)
        assert (again.status_code, again.text) == (201, answers[0].text)
        assert again.headers["Idempotency-Replayed"] == "true"
        other = await restarted.post("/orders", json={**ORDER, "customer_name": "Another"}, headers=key)
        assert_problem(other, 422, "idempotency-key-reused")
    assert len(await events(engine)) == 1


async def test_a_key_is_remembered_for_every_command(http: httpx.AsyncClient, engine: AsyncEngine) -> None:
    """I7."""
    order_id = (await place(http)).json()["order_id"]
    steps: list[tuple[str, dict[str, str]]] = [("confirm", {}), ("ship", {"carrier": "Yamato"})]
    first = [
        await http.post(f"/orders/{order_id}/{verb}", json=body, headers={"Idempotency-Key": verb})
        for verb, body in steps
    ]
    again = [
        await http.post(f"/orders/{order_id}/{verb}", json=body, headers={"Idempotency-Key": verb})
        for verb, body in steps
    ]
    assert [(a.status_code, a.text, a.headers["ETag"]) for a in first] == [
        (a.status_code, a.text, a.headers["ETag"]) for a in again
    ]
    assert ["Idempotency-Replayed" in a.headers for a in first + again] == [False, False, True, True]
    assert len(await events(engine)) == 3


async def test_a_key_of_another_order_or_command_is_refused(http: httpx.AsyncClient, engine: AsyncEngine) -> None:
    first, second = [(await place(http)).json()["order_id"] for _ in range(2)]
    key = {"Idempotency-Key": "k"}
    assert (await http.post(f"/orders/{first}/confirm", headers=key)).status_code == 200
    assert_problem(await http.post(f"/orders/{second}/confirm", headers=key), 422, "idempotency-key-reused")
    assert_problem(await http.post(f"/orders/{first}/ship", headers=key), 422, "idempotency-key-reused")
    assert_problem(await place(http, **key), 422, "idempotency-key-reused")
    assert len(await events(engine)) == 3


async def test_a_key_whose_command_was_refused_is_still_free(http: httpx.AsyncClient) -> None:
    order_id = (await place(http)).json()["order_id"]
    key = {"Idempotency-Key": "ship"}
    assert_problem(await http.post(f"/orders/{order_id}/ship", headers=key), 409, "invalid-transition")
    await http.post(f"/orders/{order_id}/confirm")
    assert (await http.post(f"/orders/{order_id}/ship", headers=key)).status_code == 200


async def test_the_same_request_in_other_json_is_the_same_request(http: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "k", **JSON}
    first = await http.post("/orders", content=json.dumps(ORDER), headers=key)
    again = await http.post("/orders", content=json.dumps(dict(reversed(ORDER.items())), indent=2), headers=key)
    assert (first.text, again.headers["Idempotency-Replayed"]) == (again.text, "true")


async def test_metadata_tells_who_and_why(http: httpx.AsyncClient, engine: AsyncEngine) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = await place(http, **{"X-Correlation-ID": "story-1", "traceparent": trace, "Idempotency-Key": "k"})
    assert answer.headers["X-Correlation-ID"] == "story-1"
    (event,) = await events(engine)
    assert event.metadata["correlation_id"] == "story-1"
    assert event.metadata["traceparent"] == trace
    assert len(event.metadata["idempotency_fingerprint"]) == 64
    assert UUID(event.metadata["causation_id"]).version == 7


async def test_a_malformed_traceparent_is_ignored(http: httpx.AsyncClient, engine: AsyncEngine) -> None:
    for trace in ("nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "x" * 5000):
        assert (await place(http, traceparent=trace)).status_code == 201
    assert not any("traceparent" in event.metadata for event in await events(engine))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Idempotency-Key", ""),
        ("Idempotency-Key", "two words"),
        ("Idempotency-Key", "x" * 256),
        ("Idempotency-Key", "é"),
        ("If-Match", "1"),
        ("If-Match", 'W/"1"'),
        ("If-Match", '"x"'),
        ("If-Match", '"-1"'),
        ("If-Match", '"1", "2"'),
        ("If-Match", '"' + "9" * 30 + '"'),
        ("X-Correlation-ID", "a b"),
        ("X-Correlation-ID", "x" * 256),
    ],
)
async def test_a_bad_header_is_refused(http: httpx.AsyncClient, engine: AsyncEngine, name: str, value: str) -> None:
    answer = await http.post("/orders", json=ORDER, headers=[(name.encode(), value.encode("latin-1"))])
    problem = assert_problem(answer, 422, "validation-failed")
    assert problem["errors"][0]["pointer"] == name.lower()
    assert await events(engine) == []


def changed(**fields: Any) -> bytes:
    return json.dumps({**ORDER, **fields}).encode()


def item(**fields: Any) -> bytes:
    return changed(items=[{"product_name": "Tea", "quantity": 1, "unit_price": "1.00", **fields}])


def address(**fields: Any) -> bytes:
    return changed(shipping_address={**ORDER["shipping_address"], **fields})


BAD_BODIES = {
    "empty": (b"", ""),
    "not JSON": (b"{", ""),
    "not an object": (b"[]", ""),
    "null": (b"null", ""),
    "not UTF-8": (b'{"customer_name": "\xff"}', ""),
    "UTF-16": (json.dumps(ORDER).encode("utf-16"), ""),
    "duplicate key": (b'{"customer_name": "a", "customer_name": "b"}', ""),
    "duplicate key inside": (b'{"items": [{"quantity": 1, "quantity": 2}]}', ""),
    "NaN": (item(unit_price=float("nan")), ""),
    "Infinity": (item(unit_price=float("inf")), ""),
    "deep nesting": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, ""),
    "deep arrays": (b'{"items":' + b"[" * 100_000 + b"]" * 100_000 + b"}", ""),
    "huge integer": (item(quantity=0).replace(b'"quantity": 0', b'"quantity": ' + b"9" * 5000), ""),
    "huge exponent": (item().replace(b'"1.00"', b"1e999999999"), "/items/0/unit_price"),
    "exponent past all exponents": (item().replace(b'"1.00"', b"1e99999999999999999999"), ""),
    "unknown field": (changed(discount=1), "/discount"),
    "unknown field inside": (item(colour="red"), "/items/0/colour"),
    "name missing": (json.dumps({"items": ORDER["items"]}).encode(), "/customer_name"),
    "name null": (changed(customer_name=None), "/customer_name"),
    "name a number": (changed(customer_name=5), "/customer_name"),
    "name blank": (changed(customer_name="   "), "/customer_name"),
    "name too long": (changed(customer_name="x" * 201), "/customer_name"),
    "name with NUL": (changed(customer_name="a\0b"), "/customer_name"),
    "name with control character": (changed(customer_name="a\x1fb"), "/customer_name"),
    "name with C1 control character": (changed(customer_name="a\x9bb"), "/customer_name"),
    "name with lone surrogate": (changed(customer_name="a\ud800b"), ""),
    "lone surrogate in a key": (json.dumps({**ORDER, "\ud800": 1}).encode(), ""),
    "order_id not a UUID": (changed(order_id="1"), "/order_id"),
    "items missing": (json.dumps({"customer_name": "a"}).encode(), "/items"),
    "items empty": (changed(items=[]), "/items"),
    "items too many": (changed(items=[ORDER["items"][0]] * 501), "/items"),
    "items an object": (changed(items={"0": ORDER["items"][0]}), "/items"),
    "item null": (changed(items=[None]), "/items/0"),
    "quantity 0": (item(quantity=0), "/items/0/quantity"),
    "quantity negative": (item(quantity=-1), "/items/0/quantity"),
    "quantity too large": (item(quantity=1_000_001), "/items/0/quantity"),
    "quantity a string": (item(quantity="1"), "/items/0/quantity"),
    "quantity a fraction": (item(quantity=1.5), "/items/0/quantity"),
    "quantity true": (item(quantity=True), "/items/0/quantity"),
    "price 0": (item(unit_price="0.00"), "/items/0/unit_price"),
    "price negative": (item(unit_price="-1.00"), "/items/0/unit_price"),
    "price with three decimals": (item(unit_price="1.001"), "/items/0/unit_price"),
    "price with three decimals as a number": (item(unit_price=1.001), "/items/0/unit_price"),
    "price not a number": (item(unit_price="free"), "/items/0/unit_price"),
    "price NaN in a string": (item(unit_price="NaN"), "/items/0/unit_price"),
    "price true": (item(unit_price=True), "/items/0/unit_price"),
    "price too large": (item(unit_price="100000000.00"), "/items/0/unit_price"),
    "subtotal too large": (item(quantity=1_000_000, unit_price="100.00"), "/items/0"),
    "total too large": (
        changed(items=[{"product_name": "Gold", "quantity": 1, "unit_price": "60000000.00"}] * 2),
        "",
    ),
    "country unknown": (address(country="XX"), "/shipping_address/country"),
    "country in lower case": (address(country="jp"), "/shipping_address/country"),
    "city missing": (
        changed(shipping_address={k: v for k, v in ORDER["shipping_address"].items() if k != "city"}),
        "/shipping_address/city",
    ),
}


@pytest.mark.parametrize("case", list(BAD_BODIES))
async def test_a_bad_body_is_refused_and_changes_nothing(
    http: httpx.AsyncClient, engine: AsyncEngine, case: str
) -> None:
    body, pointer = BAD_BODIES[case]
    problem = assert_problem(await http.post("/orders", content=body, headers=JSON), 422, "validation-failed")
    assert pointer in [error["pointer"] for error in problem["errors"]]
    assert all(error["message"] for error in problem["errors"])
    assert await events(engine) == []


GOOD_BODIES = {
    "name of 200 characters": changed(customer_name="x" * 200),
    "name of one character": changed(customer_name="x"),
    "name beyond the BMP": changed(customer_name="\U0001f375" * 200),
    "500 items": changed(items=[{"product_name": "Tea", "quantity": 1, "unit_price": "1.00"}] * 500),
    "largest quantity": item(quantity=1_000_000, unit_price="0.01"),
    "largest price": item(unit_price="99999999.99"),
    "price as a number": item(unit_price=12.5),
    "price as an integer": item(unit_price=12),
    "no address": changed(shipping_address=None),
}


@pytest.mark.parametrize("case", list(GOOD_BODIES))
async def test_a_body_at_its_limits_is_accepted(http: httpx.AsyncClient, engine: AsyncEngine, case: str) -> None:
    answer = await http.post("/orders", content=GOOD_BODIES[case], headers=JSON)
    assert answer.status_code == 201, answer.text
    (event,) = await events(engine)
    assert all(len(line["unit_price"].partition(".")[2]) == 2 for line in event.event_data["items"])


@pytest.mark.parametrize("body", [{"reason": ""}, {"reason": "x" * 501}, {"reason": "a\0"}, {"reason": 1}, {}])
async def test_a_bad_reason_is_refused(http: httpx.AsyncClient, engine: AsyncEngine, body: dict[str, Any]) -> None:
    order_id = (await place(http)).json()["order_id"]
    answer = await http.post(f"/orders/{order_id}/cancel", json=body)
    assert assert_problem(answer, 422, "validation-failed")["errors"][0]["pointer"] == "/reason"
    assert len(await events(engine)) == 1


@pytest.mark.parametrize("body", [b"{}", b""])
async def test_confirm_takes_an_empty_object_or_nothing(http: httpx.AsyncClient, body: bytes) -> None:
    order_id = (await place(http)).json()["order_id"]
    assert (await http.post(f"/orders/{order_id}/confirm", content=body, headers=JSON)).status_code == 200


@pytest.mark.parametrize("body", [b"null", b"[]", b'{"x": 1}', b"1"])
async def test_confirm_refuses_any_other_body(http: httpx.AsyncClient, engine: AsyncEngine, body: bytes) -> None:
    order_id = (await place(http)).json()["order_id"]
    answer = await http.post(f"/orders/{order_id}/confirm", content=body, headers=JSON)
    assert_problem(answer, 422, "validation-failed")
    assert len(await events(engine)) == 1


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/json; charset=latin-1", "x"],
)
async def test_another_media_type_is_refused(http: httpx.AsyncClient, engine: AsyncEngine, content_type: str) -> None:
    answer = await http.post("/orders", content=json.dumps(ORDER), headers={"Content-Type": content_type})
    assert_problem(answer, 415, "unsupported-media-type")
    assert await events(engine) == []


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", 'application/json;charset="UTF-8"']
)
async def test_json_by_any_spelling_is_taken(http: httpx.AsyncClient, content_type: str) -> None:
    answer = await http.post("/orders", content=json.dumps(ORDER), headers={"Content-Type": content_type})
    assert answer.status_code == 201


async def test_a_10_mb_body_is_refused(http: httpx.AsyncClient, engine: AsyncEngine) -> None:
    body = changed(customer_name="x" * 10_000_000)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    assert_problem(await http.post("/orders", content=body, headers=JSON), 413, "body-too-large")
    assert_problem(await http.post("/orders", content=chunks(), headers=JSON), 413, "body-too-large")
    assert await events(engine) == []


async def test_framework_errors_are_problems(http: httpx.AsyncClient) -> None:
    assert_problem(await http.get("/nothing"), 404, "not-found")
    wrong_method = await http.get("/orders")
    assert_problem(wrong_method, 405, "method-not-allowed")
    assert wrong_method.headers["Allow"] == "POST"
    for path in ("/orders/1/confirm", "/orders/%00/ship", "/orders/" + "9" * 300 + "/confirm"):
        problem = assert_problem(await http.post(path), 422, "validation-failed")
        assert problem["errors"][0]["pointer"] == "order_id"


async def test_it_is_alive_and_ready(http: httpx.AsyncClient) -> None:
    assert (await http.get("/health/live")).status_code == 200
    assert (await http.get("/health/ready")).json()["status"] == "ready"


async def test_every_answer_has_a_correlation_id(http: httpx.AsyncClient) -> None:
    ids = [(await http.get(path)).headers["X-Correlation-ID"] for path in ("/health/live", "/nothing")]
    assert len(set(ids)) == 2


async def test_the_openapi_document_names_the_headers_and_limits(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    place_order = document["paths"]["/orders"]["post"]
    names = [parameter["name"] for parameter in place_order["parameters"]]
    assert names == ["Idempotency-Key", "If-Match", "X-Correlation-ID", "traceparent"]
    name = document["components"]["schemas"]["PlaceOrder"]["properties"]["customer_name"]
    assert (name["minLength"], name["maxLength"]) == (1, 200)
