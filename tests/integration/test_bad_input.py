"""I6: a request that is not valid is refused, told why, and changes nothing."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER
from tests.support.http import JSON, assert_problem, events, place


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
    "quantity of a huge exponent": (item().replace(b'"quantity": 1', b'"quantity": 1e999999'), "/items/0/quantity"),
    "quantity true": (item(quantity=True), "/items/0/quantity"),
    "price 0": (item(unit_price="0.00"), "/items/0/unit_price"),
    "price negative": (item(unit_price="-1.00"), "/items/0/unit_price"),
    "price with three decimals": (item(unit_price="1.001"), "/items/0/unit_price"),
    "price with three decimals as a number": (item(unit_price=1.001), "/items/0/unit_price"),
    "price with leading zeros": (item(unit_price="01.00"), "/items/0/unit_price"),
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


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", list(BAD_BODIES))
async def test_a_bad_body_is_refused_and_changes_nothing(
    refusing_commands: httpx.AsyncClient, unchanged_engine: AsyncEngine, case: str
) -> None:
    body, pointer = BAD_BODIES[case]
    problem = assert_problem(
        await refusing_commands.post("/orders", content=body, headers=JSON), 422, "validation-failed"
    )
    assert pointer in [error["pointer"] for error in problem["errors"]]
    assert all(error["message"] for error in problem["errors"])
    assert await events(unchanged_engine) == []


GOOD_BODIES = {
    "name of 200 characters": changed(customer_name="x" * 200),
    "name of one character": changed(customer_name="x"),
    "name beyond the BMP": changed(customer_name="\U0001f375" * 200),
    "500 items": changed(items=[{"product_name": "Tea", "quantity": 1, "unit_price": "1.00"}] * 500),
    "largest quantity": item(quantity=1_000_000, unit_price="0.01"),
    "largest price": item(unit_price="99999999.99"),
    "quantity with a point": item(quantity=2.0),
    "quantity with an exponent": item().replace(b'"quantity": 1', b'"quantity": 1e6').replace(b"1.00", b"0.01"),
    "price as a number": item(unit_price=12.5),
    "price as an integer": item(unit_price=12),
    "no address": changed(shipping_address=None),
}


@pytest.mark.parametrize("case", list(GOOD_BODIES))
async def test_a_body_at_its_limits_is_accepted(commands: httpx.AsyncClient, engine: AsyncEngine, case: str) -> None:
    answer = await commands.post("/orders", content=GOOD_BODIES[case], headers=JSON)
    assert answer.status_code == 201, answer.text
    (event,) = await events(engine)
    assert all(len(line["unit_price"].partition(".")[2]) == 2 for line in event.event_data["items"])


@pytest.mark.parametrize("body", [{"reason": ""}, {"reason": "x" * 501}, {"reason": "a\0"}, {"reason": 1}, {}])
async def test_a_bad_reason_is_refused(commands: httpx.AsyncClient, engine: AsyncEngine, body: dict[str, Any]) -> None:
    order_id = (await place(commands)).json()["order_id"]
    answer = await commands.post(f"/orders/{order_id}/cancel", json=body)
    assert assert_problem(answer, 422, "validation-failed")["errors"][0]["pointer"] == "/reason"
    assert len(await events(engine)) == 1


@pytest.mark.parametrize("body", [b"{}", b""])
async def test_confirm_takes_an_empty_object_or_nothing(commands: httpx.AsyncClient, body: bytes) -> None:
    order_id = (await place(commands)).json()["order_id"]
    assert (await commands.post(f"/orders/{order_id}/confirm", content=body, headers=JSON)).status_code == 200


@pytest.mark.parametrize("body", [b"null", b"[]", b'{"x": 1}', b"1"])
async def test_confirm_refuses_any_other_body(commands: httpx.AsyncClient, engine: AsyncEngine, body: bytes) -> None:
    order_id = (await place(commands)).json()["order_id"]
    answer = await commands.post(f"/orders/{order_id}/confirm", content=body, headers=JSON)
    assert_problem(answer, 422, "validation-failed")
    assert len(await events(engine)) == 1


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/json; charset=latin-1", "x"],
)
async def test_another_media_type_is_refused(
    refusing_commands: httpx.AsyncClient, unchanged_engine: AsyncEngine, content_type: str
) -> None:
    answer = await refusing_commands.post("/orders", content=json.dumps(ORDER), headers={"Content-Type": content_type})
    assert_problem(answer, 415, "unsupported-media-type")
    assert await events(unchanged_engine) == []


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", 'application/json;charset="UTF-8"']
)
async def test_json_by_any_spelling_is_taken(commands: httpx.AsyncClient, content_type: str) -> None:
    answer = await commands.post("/orders", content=json.dumps(ORDER), headers={"Content-Type": content_type})
    assert answer.status_code == 201


async def test_a_10_mb_body_is_refused(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    body = changed(customer_name="x" * 10_000_000)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    assert_problem(await commands.post("/orders", content=body, headers=JSON), 413, "body-too-large")
    assert_problem(await commands.post("/orders", content=chunks(), headers=JSON), 413, "body-too-large")
    assert await events(engine) == []


@pytest.mark.asyncio(loop_scope="module")
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
async def test_a_bad_header_is_refused(
    refusing_commands: httpx.AsyncClient, unchanged_engine: AsyncEngine, name: str, value: str
) -> None:
    answer = await refusing_commands.post("/orders", json=ORDER, headers=[(name.encode(), value.encode("latin-1"))])
    problem = assert_problem(answer, 422, "validation-failed")
    assert problem["errors"][0]["pointer"] == name.lower()
    assert await events(unchanged_engine) == []


async def test_of_many_errors_the_first_are_told(commands: httpx.AsyncClient) -> None:
    """I10."""
    body = changed(**{f"unknown_{number}": 1 for number in range(20_000)})
    problem = assert_problem(await commands.post("/orders", content=body, headers=JSON), 422, "validation-failed")
    assert len(problem["errors"]) == 100


async def test_a_list_with_a_bad_item_is_not_called_too_short_as_well(commands: httpx.AsyncClient) -> None:
    body = {**ORDER, "items": [{"product_name": "x", "quantity": 0, "unit_price": "1"}]}
    errors = (await commands.post("/orders", json=body)).json()["errors"]
    assert [error["pointer"] for error in errors] == ["/items/0/quantity"]
    errors = (await commands.post("/orders", json={**ORDER, "items": []})).json()["errors"]
    assert [error["pointer"] for error in errors] == ["/items"]
