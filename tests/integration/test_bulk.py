"""Bulk requests: each line is a command of its own, in order, and safe to repeat. I6, I7, I10."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.test_overload import append_waits, appends_held
from tests.integration.test_slow_clients import connected
from tests.support.apps import ORDER, command_service
from tests.support.http import assert_problem, events, place, plain_client
from tests.support.metrics import samples
from tests.support.served import commands_served
from tests.support.waiting import wait_until

NDJSON = {"Content-Type": "application/x-ndjson"}
Lines = list[dict[str, Any]]


async def send(http: httpx.AsyncClient, lines: Lines, **headers: str) -> Lines:
    return told(await post(http, "".join(json.dumps(line) + "\n" for line in lines).encode(), **headers))


async def post(http: httpx.AsyncClient, content: bytes, **headers: str) -> httpx.Response:
    return await http.post("/orders/batch", content=content, headers={**NDJSON, **headers})


def told(answer: httpx.Response) -> Lines:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson"), answer.text
    assert answer.text.endswith("\n")
    return [json.loads(line) for line in answer.text.splitlines()]


def a_story(order_id: str, key: str | None = None) -> Lines:
    lines: Lines = [
        {"command": "PlaceOrder", "order_id": order_id, **ORDER},
        {"command": "ConfirmOrder", "order_id": order_id, "expected_version": 1},
        {"command": "ShipOrder", "order_id": order_id, "carrier": "Yamato"},
    ]
    return [{**line, "key": f"{key}-{number}"} for number, line in enumerate(lines)] if key else lines


def slugs(answers: Lines) -> list[str]:
    return [one["body"].get("type", "").removeprefix("urn:daicho:problem:") for one in answers]


async def test_lines_about_one_order_take_effect_in_their_order(
    commands: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    ids = [str(uuid4()) for _ in range(20)]
    stories = [a_story(order_id) for order_id in ids]
    lines = [story[step] for step in range(3) for story in stories]
    answer = await post(commands, "\n".join(map(json.dumps, lines)).encode())
    answers = told(answer)
    assert [one["status"] for one in answers] == [201] * 20 + [200] * 40
    assert [one["body"]["status"] for one in answers] == ["pending"] * 20 + ["confirmed"] * 20 + ["shipped"] * 20
    assert [one["body"]["order_id"] for one in answers] == ids * 3
    assert [one["body"]["version"] for one in answers] == [1] * 20 + [2] * 20 + [3] * 20
    logged = {event.position: (str(event.aggregate_id), event.version) for event in await events(engine)}
    assert logged == {one["body"]["position"]: (one["body"]["order_id"], one["body"]["version"]) for one in answers}
    assert answer.headers["Event-Position"] == "60"


async def test_each_line_has_its_own_outcome(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    """I6."""
    order_id = (await place(commands)).json()["order_id"]
    text = [
        json.dumps({"command": "ShipOrder", "order_id": order_id}),
        "{",
        "",
        json.dumps({"command": "ConfirmOrder", "order_id": order_id, "expected_version": 7}),
        json.dumps({"command": "ConfirmOrder", "order_id": order_id, "expected_version": 1}) + "\r",
        json.dumps({"command": "ConfirmOrder", "order_id": str(uuid4())}),
        json.dumps({"command": "PlaceOrder", **ORDER, "items": []}),
        json.dumps({"command": "PlaceOrder", **ORDER, "order_id": order_id}),
        json.dumps({"command": "SendFlowers", "order_id": order_id}),
        json.dumps({"command": "ConfirmOrder", "order_id": order_id, "colour": "red"}),
        '{"command": "ConfirmOrder", "command": "ConfirmOrder"}',
        '{"command": "ConfirmOrder", "key": "a b", "order_id": "x"}',
        "[]",
        "\udcff",
    ]
    answer = await post(commands, "\n".join(text).encode(errors="surrogateescape"))
    answers = told(answer)
    assert slugs(answers) == [
        "invalid-transition", "validation-failed", "validation-failed", "version-mismatch", "", "order-not-found",
        *["validation-failed"] * 1, "order-already-exists", *["validation-failed"] * 6,
    ]  # fmt: skip
    assert [one["status"] for one in answers] == [409, 422, 422, 412, 200, 404, 422, 409, *[422] * 6]
    assert [one["body"].get("instance") for one in answers[:2]] == ["/orders/batch#1", "/orders/batch#2"]
    single = await commands.post("/orders", json={**ORDER, "items": []})
    assert answers[6]["body"]["errors"] == single.json()["errors"]
    assert [error["pointer"] for error in answers[11]["body"]["errors"]] == ["/key", "/order_id"]
    assert answers[0]["body"]["order_status"] == "pending"
    assert [event.event_type for event in await events(engine)] == ["OrderPlaced", "OrderConfirmed"]
    assert answer.headers["Event-Position"] == "2"


@pytest.mark.parametrize(
    ("line", "pointer", "message"),
    [
        ({}, "/command", "Field required"),
        ({"command": "SendFlowers"}, "/command", "must be one of 'PlaceOrder', 'ConfirmOrder', 'ShipOrder', 'CancelOrder'"),
        ({"command": None}, "/command", "must be one of 'PlaceOrder', 'ConfirmOrder', 'ShipOrder', 'CancelOrder'"),
        ({"command": "PlaceOrder", **ORDER, "items": []}, "/items", "must have 1 or more items"),
        ({"command": "PlaceOrder", **ORDER, "items": {}}, "/items", "must be a JSON array"),
        ({"command": "PlaceOrder", **ORDER, "items": [1]}, "/items/0", "must be a JSON object"),
        ({"command": "PlaceOrder", **ORDER, "items": ORDER["items"][:1] * 501}, "/items", "must have 500 or fewer items"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_line_is_told_where_it_is(
    refusing_commands: httpx.AsyncClient, line: dict[str, Any], pointer: str, message: str
) -> None:
    (answer,) = await send(refusing_commands, [line])
    assert {"pointer": pointer, "message": message} in answer["body"]["errors"]


async def test_a_line_without_anything_is_told_so(refusing_commands: httpx.AsyncClient) -> None:
    empty, spaces, _ = told(await post(refusing_commands, b"\n \r\n{"))
    for answer in (empty, spaces):
        assert answer["body"]["errors"] == [{"pointer": "", "message": "not valid JSON: the line is empty"}]


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n \n"])
async def test_a_body_without_anything_is_refused(refusing_commands: httpx.AsyncClient, content: bytes) -> None:
    problem = assert_problem(await post(refusing_commands, content), 422, "validation-failed")
    assert problem["errors"] == [{"pointer": "", "message": "is empty: a command on each line is wanted"}]


async def test_a_mismatch_speaks_of_neither_way_to_expect_a_version(commands: httpx.AsyncClient) -> None:
    order_id = (await place(commands)).json()["order_id"]
    (line,) = await send(commands, [{"command": "ConfirmOrder", "order_id": order_id, "expected_version": 7}])
    single = await commands.post(f"/orders/{order_id}/confirm", headers={"If-Match": '"7"'})
    assert line["body"]["detail"] == single.json()["detail"] == "The expected version is 7, the current one 1."


async def test_a_request_sent_again_is_replayed_line_by_line(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    """I7: half of it had taken effect."""
    lines = [line for number in range(10) for line in a_story(str(uuid4()), f"story-{number}")]
    half = await send(commands, lines[:15])
    whole = await send(commands, lines)
    assert [one.pop("replayed", False) for one in whole] == [True] * 15 + [False] * 15
    assert whole[:15] == half
    again = await send(commands, lines)
    assert all(one.pop("replayed") for one in again)
    assert again == whole
    assert len(await events(engine)) == 30


async def test_a_request_sent_twice_at_once_takes_effect_once(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    """I7."""
    lines = [line for number in range(10) for line in a_story(str(uuid4()), f"story-{number}")]
    lines += [{"command": "PlaceOrder", "key": f"place-{number}", **ORDER} for number in range(10)]
    both = await asyncio.gather(*(send(commands, lines) for _ in range(3)))
    replayed = [[one.pop("replayed", False) for one in answers] for answers in both]
    assert both[0] == both[1] == both[2]
    assert [sum(column) for column in zip(*replayed, strict=True)] == [2] * 40
    assert len(await events(engine)) == 40


async def test_a_key_stands_for_the_same_request_on_a_line_and_by_itself(
    commands: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    """I7."""
    order_id = str(uuid4())
    key = "Idempotency-Key"
    placed = await commands.post("/orders", json={**ORDER, "order_id": order_id}, headers={key: "s-0"})
    first = await send(commands, a_story(order_id, "s"))
    assert first[0] == {"status": 201, "body": placed.json(), "replayed": True}
    for path, number, body in (("confirm", 1, None), ("ship", 2, {"carrier": "Yamato"})):
        again = await commands.post(f"/orders/{order_id}/{path}", json=body, headers={key: f"s-{number}"})
        assert (again.json(), again.headers["Idempotency-Replayed"]) == (first[number]["body"], "true")
    other = await send(commands, [{"command": "ConfirmOrder", "order_id": order_id, "key": "s-2"}])
    assert slugs(other) == ["idempotency-key-reused"]
    assert len(await events(engine)) == 3


async def test_of_two_lines_with_one_key_the_first_counts(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    """I7: the first one has to read its stream, the second has not."""
    order_id = (await place(commands)).json()["order_id"]
    async with command_service(str(engine.url.render_as_string(hide_password=False))) as other:
        lines: Lines = [
            {"command": "ConfirmOrder", "order_id": order_id, "key": "k"},
            {"command": "PlaceOrder", **ORDER, "key": "k"},
            {"command": "ConfirmOrder", "order_id": order_id, "key": "k"},
        ]
        answers = await send(other, lines)
    assert slugs(answers) == ["", "idempotency-key-reused", ""]
    assert answers[2] == {**answers[0], "replayed": True}


@pytest.mark.parametrize(
    ("content", "headers", "status", "slug"),
    [
        (b"{}\n" * 1001, {}, 413, "body-too-large"),
        (b" " * 70_001, {}, 413, "body-too-large"),
        (b"{}\n" + b" " * 2000 + b"\n{}", {}, 413, "body-too-large"),
        (b"{}", {"Content-Type": "application/json"}, 415, "unsupported-media-type"),
        (b"{}", {"Idempotency-Key": "k"}, 422, "validation-failed"),
        (b"{}", {"If-Match": '"1"'}, 422, "validation-failed"),
    ],
    ids=["lines", "bytes", "a line", "media type", "key", "version"],
)
async def test_a_request_that_is_refused_has_done_nothing(
    database: str, engine: AsyncEngine, content: bytes, headers: dict[str, str], status: int, slug: str
) -> None:
    """I6, I10."""
    order = json.dumps({"command": "PlaceOrder", **ORDER}).encode()
    async with command_service(database, max_bulk_bytes=70_000, max_body_bytes=1024) as http:
        assert_problem(await post(http, order + b"\n" + content, **headers), status, slug)
        assert told(await post(http, order))[0]["status"] == 201
        assert len(await send(http, [{}] * 1000)) == 1000
    assert len(await events(engine)) == 1


async def test_bulk_leaves_room_in_the_queue(database: str, engine: AsyncEngine) -> None:
    """I10."""
    orders: Lines = [{"command": "PlaceOrder", **ORDER}] * 40
    async with command_service(database, queue_commits=16, bulk_requests=2) as http:
        async with appends_held(database):
            first = asyncio.create_task(place(http))
            await wait_until(lambda: append_waits(engine), "an append waits for the lock")
            bulk = [asyncio.create_task(send(http, orders)) for _ in range(3)]
            await wait_until(lambda: _are_queued(http, 4), "the two whose turn it is have queued what they may")
            single = [asyncio.create_task(place(http)) for _ in range(5)]
            await wait_until(lambda: _are_queued(http, 9), "there is room for the others")
        assert [answer.status_code for answer in await asyncio.gather(first, *single)] == [201] * 6
        assert [one["status"] for answers in await asyncio.gather(*bulk) for one in answers] == [201] * 120


async def test_without_outcome_in_time_lines_say_so_and_keys_give_the_truth(database: str, engine: AsyncEngine) -> None:
    lines: Lines = [{"command": "PlaceOrder", "key": str(number), **ORDER} for number in range(6)]
    async with command_service(database, command_deadline=0.5, queue_commits=4, bulk_requests=1) as http:
        async with appends_held(database):
            answers = await send(http, lines)
        assert set(slugs(answers)) <= {"outcome-unknown", "overloaded", "unavailable"}
    async with command_service(database) as http:
        again = await send(http, lines)
        assert slugs(again) == [""] * 6
    assert len(await events(engine)) == 6


async def test_bulk_requests_that_wait_keep_nobody_else_out(database: str, engine: AsyncEngine) -> None:
    line = json.dumps({"command": "PlaceOrder", **ORDER}).encode()
    async with command_service(database, max_requests=3, bulk_requests=1) as http:
        async with appends_held(database):
            waiting = [asyncio.create_task(post(http, line)) for _ in range(3)]
            await wait_until(lambda: append_waits(engine), "the first one is carried out")
            placing = asyncio.create_task(place(http))
        answers = [await one for one in waiting]
        assert (await placing).status_code == 201
    assert [told(answer)[0]["status"] for answer in answers] == [201] * 3


async def test_no_more_bulk_requests_wait_than_can_be_kept(database: str, engine: AsyncEngine) -> None:
    line = json.dumps({"command": "PlaceOrder", **ORDER}).encode()
    async with command_service(database, bulk_requests=1) as http:
        async with appends_held(database):
            waiting = [asyncio.create_task(post(http, line)) for _ in range(8)]
            await wait_until(lambda: append_waits(engine), "the first one is carried out")
            done, waiting_still = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                assert_problem(one.result(), 503, "overloaded")
        answers = [await one for one in waiting]
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [503] * 3
    assert waiting_still


async def test_who_sends_a_batch_slowly_keeps_nobody_from_theirs(database: str) -> None:
    head = b"POST /orders/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 99\r\n\r\n{"
    line = json.dumps({"command": "PlaceOrder", **ORDER}).encode()
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(commands_served(database, bulk_requests=1, command_deadline=20))
        for _ in range(3):
            await stack.enter_async_context(connected(port, head))
        http = await stack.enter_async_context(plain_client(base_url=f"http://127.0.0.1:{port}", timeout=30))
        assert told(await post(http, line))[0]["status"] == 201


async def _are_queued(http: httpx.AsyncClient, commits: int) -> bool:
    return samples((await http.get("/metrics")).text)["daicho_append_queue_commits"] == commits
