"""Whatever a service answers, its OpenAPI document tells: the status, the headers, the media type, the body.

So does everything that the other integration tests ask: the clients of `conftest.py` are watched.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
from jsonschema.exceptions import ValidationError

from tests.support.apps import ORDER, command_service, query_service
from tests.support.documented import Api, api
from tests.support.http import JSON, PATIENT
from tests.support.proxy import proxied

NOBODY = "00000000-0000-7000-8000-000000000000"
CANCELLED = "00000000-0000-7000-8000-000000000001"


class Asked(NamedTuple):
    """A request, and the status and problem that it gets; `{id}` is that of an order that was placed."""

    method: str
    path: str
    status: int
    slug: str | None = None
    headers: Mapping[str, str] = {}
    content: bytes | None = None


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


NDJSON = {"Content-Type": "application/x-ndjson"}
PLACE = json.dumps(ORDER).encode()
COMMANDS = [
    Asked("GET", "/metrics", 200),
    Asked("POST", "/orders", 201, headers=JSON, content=PLACE),
    Asked("POST", "/orders", 201, headers={**JSON, "Idempotency-Key": "k", "X-Correlation-ID": "c"}, content=PLACE),
    Asked("POST", "/orders", 201, headers={**JSON, "Idempotency-Key": "k"}, content=PLACE),
    Asked(
        "POST",
        "/orders",
        422,
        "idempotency-key-reused",
        {**JSON, "Idempotency-Key": "k"},
        body(**ORDER, order_id=NOBODY),
    ),
    Asked("POST", "/orders", 422, "validation-failed", JSON, b"{"),
    Asked("POST", "/orders", 422, "validation-failed", {**JSON, "If-Match": "1"}, PLACE),
    Asked("POST", "/orders", 412, "version-mismatch", {**JSON, "If-Match": '"7"'}, PLACE),
    Asked("POST", "/orders", 413, "body-too-large", JSON, b" " * 1_048_577),
    Asked("POST", "/orders", 415, "unsupported-media-type", {"Content-Type": "text/plain"}, PLACE),
    Asked("POST", "/orders/{id}/ship", 409, "invalid-transition"),
    Asked("POST", "/orders/{id}/confirm", 200),
    Asked("POST", "/orders/{id}/confirm", 409, "invalid-transition"),
    Asked("POST", "/orders/{id}/ship", 412, "version-mismatch", {"If-Match": '"1"'}),
    Asked("POST", "/orders/{id}/ship", 200, None, JSON, body(carrier="Yamato")),
    Asked("POST", "/orders", 201, None, JSON, body(**ORDER, order_id=CANCELLED)),
    Asked("POST", "/orders", 409, "order-already-exists", JSON, body(**ORDER, order_id=CANCELLED)),
    Asked("POST", f"/orders/{CANCELLED}/cancel", 200, None, JSON, body(reason="late")),
    Asked("POST", "/orders/{id}/cancel", 409, "invalid-transition", JSON, body(reason="late")),
    Asked("POST", "/orders/{id}/cancel", 422, "validation-failed", JSON, body()),
    Asked("POST", f"/orders/{NOBODY}/confirm", 404, "order-not-found"),
    Asked("POST", "/orders/x/confirm", 422, "validation-failed"),
    Asked("POST", "/orders/batch", 200, None, NDJSON, body(command="PlaceOrder", **ORDER) + b"\n{}"),
    Asked("POST", "/orders/batch", 413, "body-too-large", NDJSON, b"{}\n" * 1001),
    Asked("POST", "/orders/batch", 415, "unsupported-media-type", JSON, b"{}"),
    Asked("POST", "/orders/batch", 422, "validation-failed", {**NDJSON, "If-Match": '"1"'}, b"{}"),
    Asked("GET", "/orders", 405, "method-not-allowed"),
    Asked("GET", "/nothing", 404, "not-found"),
    Asked("GET", "/health/live", 200),
    Asked("HEAD", "/health/ready", 200),
]
POSITION = {"Event-Position": "1", **PATIENT}
QUERIES = [
    Asked("GET", "/orders", 200, headers=POSITION),
    Asked("HEAD", "/orders", 200, headers=POSITION),
    Asked("GET", "/orders", 304, headers={**POSITION, "If-None-Match": "*"}),
    Asked("GET", "/orders?status=pending&status=shipped&sort=total_amount&limit=1&min_total=1.00", 200),
    Asked("GET", "/orders?limit=201", 422, "validation-failed"),
    Asked("GET", "/orders?colour=red", 422, "validation-failed"),
    Asked("GET", "/orders?cursor=x", 422, "invalid-cursor"),
    Asked("GET", "/orders?min_position=99", 503, "read-model-behind", {"Prefer": "wait=0"}),
    Asked("GET", "/orders", 422, "validation-failed", {"Event-Position": "-1"}),
    Asked("GET", "/orders/{id}", 200, headers=POSITION),
    Asked("GET", "/orders/{id}", 304, headers={**POSITION, "If-None-Match": '"1"'}),
    Asked("GET", "/orders/{id}?version=1", 200),
    Asked("GET", "/orders/{id}?version=1", 304, headers={"If-None-Match": '"1"'}),
    Asked("GET", "/orders/{id}?version=9", 404, "order-not-found"),
    Asked("GET", "/orders/{id}?as_of=2001-01-01T00:00:00Z", 404, "order-not-found"),
    Asked("GET", "/orders/{id}?as_of=2001-01-01T00:00:00Z&version=1", 422, "validation-failed"),
    Asked("GET", f"/orders/{NOBODY}", 404, "order-not-found"),
    Asked("GET", "/orders/x", 422, "validation-failed"),
    Asked("GET", "/orders/{id}/history?schema=stored", 200),
    Asked("GET", f"/orders/{NOBODY}/history", 404, "order-not-found"),
    Asked("GET", "/statistics", 200),
    Asked("GET", "/statistics/daily?from=2026-01-01&to=2026-01-03", 200),
    Asked("GET", "/statistics/daily?from=2026-01-03&to=2026-01-01", 422, "validation-failed"),
    Asked("GET", "/analytics/statuses", 200),
    Asked("GET", "/events?event_type=OrderPlaced&limit=1", 200),
    Asked("GET", "/events?after=x", 422, "validation-failed"),
    Asked("GET", "/events?min_position=99", 503, "read-model-behind", {"Prefer": "wait=0"}),
    Asked("HEAD", "/events/stream", 200),
    Asked("GET", "/events/stream?after=-1", 422, "validation-failed"),
    Asked("GET", "/asyncapi.json", 200),
    Asked("GET", "/asyncapi.json?a=1&a=2", 422, "validation-failed"),
    Asked("GET", "/projections", 200),
    Asked("GET", "/projections?a=1", 422, "validation-failed"),
    Asked("GET", "/metrics", 200),
    Asked("GET", "/metrics?a=1&a=2", 422, "validation-failed"),
    Asked("GET", "/projections/order_items/parked", 200),
    Asked("GET", "/projections/none/parked", 404, "not-found"),
    Asked("POST", "/projections/order_items/parked/retry", 200),
    Asked("POST", "/projections/none/parked/retry", 404, "not-found"),
    Asked("POST", "/projections/order_items/rebuild", 202),
    Asked("POST", "/projections/none/rebuild", 404, "not-found"),
    Asked("DELETE", "/orders", 405, "method-not-allowed"),
    Asked("GET", "/health/live", 200),
    Asked("GET", "/health/ready", 200),
]


AWAY_COMMANDS = [
    Asked("POST", "/orders", 503, None, JSON, PLACE),  # its outcome may be unknown
    Asked("POST", f"/orders/{NOBODY}/confirm", 503, "unavailable"),
    Asked("GET", "/health/ready", 503, "unavailable"),
    Asked("GET", "/metrics", 200),
]
AWAY_QUERIES = [
    Asked("GET", "/metrics", 200),
    *(
        Asked("GET", path, 503, "unavailable")
        for path in (
            "/orders", "/orders/{id}", "/orders/{id}/history", "/statistics", "/statistics/daily", "/analytics/statuses",
            "/events", "/projections", "/projections/order_items/parked", "/health/ready",
        )
    ),
]  # fmt: skip


async def ask(http: httpx.AsyncClient, document: Api, asked: Asked, order_id: str) -> str:
    """Ask, hold the answer against the document, and give the operation and status that it was."""
    path = asked.path.replace("{id}", order_id)
    answer = await http.request(asked.method, path, headers=asked.headers, content=asked.content)
    assert answer.status_code == asked.status, f"{asked}: {answer.text}"
    if asked.slug:
        assert answer.json()["type"] == f"urn:daicho:problem:{asked.slug}"
    document.check(asked.method, httpx.URL(path).path, answer)
    operation = document.find(asked.method, httpx.URL(path).path)
    return f"{operation.told['operationId'] if operation else path} {answer.status_code}"


async def test_what_is_answered_is_documented(database: str) -> None:
    async with command_service(database) as commands, query_service(database) as queries:
        order_id = (await commands.post("/orders", json=ORDER)).json()["order_id"]
        seen = {await ask(queries, api("query"), asked, order_id) for asked in QUERIES}
        seen |= {await ask(commands, api("command"), asked, order_id) for asked in COMMANDS}
    documented = {
        f"{operation.told['operationId']} {status}"
        for service in (api("command"), api("query"))
        for operation in service.operations
        for status in operation.told["responses"]
        if status.startswith("2")
    }
    assert documented <= seen


async def test_what_is_answered_without_a_database_is_documented(database: str) -> None:
    async with (
        proxied(database) as proxy,
        command_service(proxy.url, command_deadline=0.5) as commands,
        query_service(proxy.url) as queries,
    ):
        order_id = (await commands.post("/orders", json=ORDER)).json()["order_id"]
        proxy.cut(stay_away=True)
        seen = {await ask(commands, api("command"), asked, order_id) for asked in AWAY_COMMANDS}
        seen |= {await ask(queries, api("query"), asked, order_id) for asked in AWAY_QUERIES}
        proxy.heal()
    assert len(seen) == len(AWAY_COMMANDS) + len(AWAY_QUERIES) - 2  # both have /health/ready and /metrics


def test_an_answer_that_is_not_documented_is_refused() -> None:
    statistics = {"total_count": 0, "total_revenue": "0.00", "by_status": []}
    headers = {"X-Correlation-ID": str(uuid4()), "Event-Position": "1"}
    api("query").check("GET", "/statistics", httpx.Response(200, json=statistics, headers=headers))
    wrong: list[tuple[int, dict[str, str], Any]] = [
        (201, {}, statistics),
        (409, {}, statistics),
        (200, {"X-Secret": "1"}, statistics),
        (200, {"Event-Position": "-1"}, statistics),
        (200, {"Content-Type": "application/xml"}, statistics),
        (200, {}, {**statistics, "total_revenue": 0}),
        (200, {}, {}),
    ]
    for status, changes, content in wrong:
        answer = httpx.Response(status, content=json.dumps(content), headers={**JSON, **headers, **changes})
        with pytest.raises((AssertionError, ValidationError)):
            api("query").check("GET", "/statistics", answer)
