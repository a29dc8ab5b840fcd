"""The command service over HTTP: answers, headers, problems; a refused command changes nothing (I6)."""

import asyncio
from uuid import UUID, uuid4

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER
from tests.support.http import assert_problem, events, place


async def test_an_order_is_placed_confirmed_and_shipped(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    placed = await place(commands)
    order_id = placed.json()["order_id"]
    assert (placed.status_code, placed.headers["Location"]) == (201, f"/orders/{order_id}")
    assert placed.json() == {"order_id": order_id, "status": "pending", "version": 1, "position": 1}
    assert (placed.headers["ETag"], placed.headers["Event-Position"]) == ('"1"', "1")
    assert UUID(order_id).version == 7
    confirmed = await commands.post(f"/orders/{order_id}/confirm")
    assert (confirmed.status_code, confirmed.json()["status"], confirmed.headers["ETag"]) == (200, "confirmed", '"2"')
    shipped = await commands.post(f"/orders/{order_id}/ship", json={"carrier": "Yamato", "tracking_number": "1234"})
    assert shipped.json() == {"order_id": order_id, "status": "shipped", "version": 3, "position": 3}
    recorded = await events(engine)
    assert [event.event_type for event in recorded] == ["OrderPlaced", "OrderConfirmed", "OrderShipped"]
    assert recorded[0].event_data["total_amount"] == "73.00"
    assert recorded[2].event_data == {"carrier": "Yamato", "tracking_number": "1234"}


async def test_an_order_is_cancelled_with_a_reason(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    order_id = (await place(commands)).json()["order_id"]
    answer = await commands.post(f"/orders/{order_id}/cancel", json={"reason": "  changed my mind  "})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert (await events(engine))[1].event_data == {"reason": "changed my mind"}


async def test_a_client_may_name_the_order(commands: httpx.AsyncClient) -> None:
    order_id = str(uuid4())
    answer = await commands.post("/orders", json={**ORDER, "order_id": order_id})
    assert answer.json()["order_id"] == order_id
    assert_problem(await commands.post("/orders", json={**ORDER, "order_id": order_id}), 409, "order-already-exists")


async def test_a_command_on_no_order_is_not_found(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    for verb, body in (("confirm", {}), ("ship", {}), ("cancel", {"reason": "x"})):
        answer = await commands.post(f"/orders/{uuid4()}/{verb}", json=body)
        assert_problem(answer, 404, "order-not-found")
    assert await events(engine) == []


async def test_an_invalid_transition_tells_the_orders_status(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    order_id = (await place(commands)).json()["order_id"]
    problem = assert_problem(await commands.post(f"/orders/{order_id}/ship"), 409, "invalid-transition")
    assert problem["order_status"] == "pending"
    assert len(await events(engine)) == 1


async def test_of_50_concurrent_confirms_one_succeeds(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    order_id = (await place(commands)).json()["order_id"]
    answers = await asyncio.gather(*(commands.post(f"/orders/{order_id}/confirm") for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    for answer in answers:
        if answer.status_code == 409:
            assert_problem(answer, 409, "invalid-transition")
    assert len(await events(engine)) == 2


async def test_of_50_concurrent_confirms_with_if_match_the_losers_get_412(commands: httpx.AsyncClient) -> None:
    order_id = (await place(commands)).json()["order_id"]
    confirm = [commands.post(f"/orders/{order_id}/confirm", headers={"If-Match": '"1"'}) for _ in range(50)]
    answers = await asyncio.gather(*confirm)
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 49
    for answer in answers:
        if answer.status_code == 412:
            assert assert_problem(answer, 412, "version-mismatch")["version"] == 2


async def test_if_match_of_another_version_changes_nothing(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    order_id = (await place(commands)).json()["order_id"]
    for version in ("0", "2", "999999999"):
        answer = await commands.post(f"/orders/{order_id}/confirm", headers={"If-Match": f'"{version}"'})
        assert assert_problem(answer, 412, "version-mismatch")["version"] == 1
    assert len(await events(engine)) == 1
    assert (await commands.post(f"/orders/{order_id}/confirm", headers={"If-Match": '"1"'})).status_code == 200


async def test_if_match_cannot_create(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    assert_problem(await place(commands, **{"If-Match": '"3"'}), 412, "version-mismatch")
    assert await events(engine) == []


async def test_metadata_tells_who_and_why(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = await place(commands, **{"X-Correlation-ID": "story-1", "traceparent": trace, "Idempotency-Key": "k"})
    assert answer.headers["X-Correlation-ID"] == "story-1"
    (event,) = await events(engine)
    assert event.metadata["correlation_id"] == "story-1"
    assert event.metadata["traceparent"] == trace
    assert len(event.metadata["idempotency_fingerprint"]) == 64
    assert UUID(event.metadata["causation_id"]).version == 7


async def test_a_malformed_traceparent_is_ignored(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    for trace in ("nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "x" * 5000):
        assert (await place(commands, traceparent=trace)).status_code == 201
    assert not any("traceparent" in event.metadata for event in await events(engine))


async def test_framework_errors_are_problems(commands: httpx.AsyncClient) -> None:
    assert_problem(await commands.get("/nothing"), 404, "not-found")
    wrong_method = await commands.get("/orders")
    assert_problem(wrong_method, 405, "method-not-allowed")
    assert wrong_method.headers["Allow"] == "POST"
    for path in ("/orders/1/confirm", "/orders/%00/ship", "/orders/" + "9" * 300 + "/confirm"):
        problem = assert_problem(await commands.post(path), 422, "validation-failed")
        assert problem["errors"][0]["pointer"] == "order_id"


async def test_it_is_alive_and_ready(commands: httpx.AsyncClient) -> None:
    assert (await commands.get("/health/live")).status_code == 200
    assert (await commands.get("/health/ready")).json()["status"] == "ready"


async def test_every_answer_has_a_correlation_id(commands: httpx.AsyncClient) -> None:
    ids = [(await commands.get(path)).headers["X-Correlation-ID"] for path in ("/health/live", "/nothing")]
    assert len(set(ids)) == 2


async def test_the_openapi_document_names_the_headers_and_limits(commands: httpx.AsyncClient) -> None:
    document = (await commands.get("/openapi.json")).json()
    place_order = document["paths"]["/orders"]["post"]
    names = [parameter["name"] for parameter in place_order["parameters"]]
    assert names == ["Idempotency-Key", "If-Match", "X-Correlation-ID", "traceparent"]
    name = document["components"]["schemas"]["PlaceOrder"]["properties"]["customer_name"]
    assert (name["minLength"], name["maxLength"]) == (1, 200)
