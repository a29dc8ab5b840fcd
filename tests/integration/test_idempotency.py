"""I7: the same idempotency key never takes effect twice."""

import asyncio
import json

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER, command_service
from tests.support.http import JSON, assert_problem, events, place


async def test_50_posts_with_one_key_place_one_order(
    database: str, commands: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    """I7."""
    key = {"Idempotency-Key": "order-1"}
    answers = await asyncio.gather(*(place(commands, **key) for _ in range(50)))
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


async def test_a_key_is_remembered_for_every_command(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    """I7."""
    order_id = (await place(commands)).json()["order_id"]
    steps: list[tuple[str, dict[str, str]]] = [("confirm", {}), ("ship", {"carrier": "Yamato"})]
    first = [
        await commands.post(f"/orders/{order_id}/{verb}", json=body, headers={"Idempotency-Key": verb})
        for verb, body in steps
    ]
    again = [
        await commands.post(f"/orders/{order_id}/{verb}", json=body, headers={"Idempotency-Key": verb})
        for verb, body in steps
    ]
    assert [(a.status_code, a.text, a.headers["ETag"]) for a in first] == [
        (a.status_code, a.text, a.headers["ETag"]) for a in again
    ]
    assert ["Idempotency-Replayed" in a.headers for a in first + again] == [False, False, True, True]
    assert len(await events(engine)) == 3


async def test_a_key_of_another_order_or_command_is_refused(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    first, second = [(await place(commands)).json()["order_id"] for _ in range(2)]
    key = {"Idempotency-Key": "k"}
    assert (await commands.post(f"/orders/{first}/confirm", headers=key)).status_code == 200
    assert_problem(await commands.post(f"/orders/{second}/confirm", headers=key), 422, "idempotency-key-reused")
    assert_problem(await commands.post(f"/orders/{first}/ship", headers=key), 422, "idempotency-key-reused")
    assert_problem(await place(commands, **key), 422, "idempotency-key-reused")
    assert len(await events(engine)) == 3


async def test_a_key_whose_command_was_refused_is_still_free(commands: httpx.AsyncClient) -> None:
    order_id = (await place(commands)).json()["order_id"]
    key = {"Idempotency-Key": "ship"}
    assert_problem(await commands.post(f"/orders/{order_id}/ship", headers=key), 409, "invalid-transition")
    await commands.post(f"/orders/{order_id}/confirm")
    assert (await commands.post(f"/orders/{order_id}/ship", headers=key)).status_code == 200


async def test_the_same_request_in_other_json_is_the_same_request(commands: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "k", **JSON}
    first = await commands.post("/orders", content=json.dumps(ORDER), headers=key)
    again = await commands.post("/orders", content=json.dumps(dict(reversed(ORDER.items())), indent=2), headers=key)
    assert (first.text, again.headers["Idempotency-Replayed"]) == (again.text, "true")
