"""The appending connection is terminated 200 times under load: I1, I2, I3, I6 and I7 hold."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from uuid import uuid4

import aiohttp
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER
from tests.support.http import events
from tests.support.processes import Process, service
from tests.support.replay import assert_log_is_sound

pytestmark = pytest.mark.load

KILLS = 200
CLIENTS = 16

TERMINATE = """
SELECT state, pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'daicho-append'
"""


@dataclass(slots=True)
class Told:
    """What clients were told; an order is known by its customer's name, which is new for each."""

    acknowledged: list[tuple[int, str, int]] = field(default_factory=list)
    """Position, name, version."""
    refused: set[str] = field(default_factory=set)
    """Names of orders that were said not to have been placed."""
    answers: Counter[str] = field(default_factory=Counter)


@pytest.mark.timeout(300)
async def test_what_is_acknowledged_is_in_the_log_once(database: str, engine: AsyncEngine) -> None:
    told, stop, states = Told(), asyncio.Event(), Counter[str]()
    async with service("command", database) as writer:
        clients = [asyncio.create_task(_with_keys(writer, told, stop)) for _ in range(CLIENTS // 2)]
        clients += [asyncio.create_task(_without_keys(writer, told, stop)) for _ in range(CLIENTS // 2)]
        await _terminate(engine, states)
        stop.set()
        await asyncio.gather(*clients)
    assert states["active"] > 0, "no append was hit"
    await _check(engine, told)


async def _terminate(engine: AsyncEngine, states: Counter[str]) -> None:
    """Terminate the backend that appends, at random moments, 200 times."""
    randomness = random.Random(1)
    async with engine.connect() as connection:
        while states.total() < KILLS:
            states.update(row.state for row in await connection.execute(text(TERMINATE)))
            await asyncio.sleep(randomness.uniform(0, 0.06))


async def _with_keys(writer: Process, told: Told, stop: asyncio.Event) -> None:
    """Place, confirm and ship orders, each request repeated with its key until it is answered."""
    async with aiohttp.ClientSession(writer.url) as http:
        while not stop.is_set():
            name = str(uuid4())
            content = await _insist(http, "/orders", {**ORDER, "customer_name": name}, f"{name}-place", told)
            told.acknowledged.append((content["position"], name, 1))
            for version, verb in enumerate(("confirm", "ship"), 2):
                content = await _insist(http, f"/orders/{content['order_id']}/{verb}", {}, f"{name}-{verb}", told)
                told.acknowledged.append((content["position"], name, version))


async def _insist(http: aiohttp.ClientSession, path: str, body: object, key: str, told: Told) -> dict[str, int]:
    while True:
        async with http.post(path, json=body, headers={"Idempotency-Key": key}) as answer:
            content: dict[str, int] = await answer.json(content_type=None)
            told.answers[_kind(answer, content)] += 1
            if answer.status < 300:
                return content
            assert answer.status == 503, content


async def _without_keys(writer: Process, told: Told, stop: asyncio.Event) -> None:
    """Place orders once each; one whose outcome was not told may be there or not."""
    async with aiohttp.ClientSession(writer.url) as http:
        while not stop.is_set():
            name = str(uuid4())
            async with http.post("/orders", json={**ORDER, "customer_name": name}) as answer:
                content = await answer.json(content_type=None)
                told.answers[_kind(answer, content)] += 1
            if answer.status == 201:
                told.acknowledged.append((content["position"], name, 1))
            elif content["type"] != "urn:daicho:problem:outcome-unknown":
                assert answer.status == 503, content
                told.refused.add(name)


def _kind(answer: aiohttp.ClientResponse, content: dict[str, int]) -> str:
    if "Idempotency-Replayed" in answer.headers:
        return "replayed"
    return "done" if answer.status < 300 else str(content["type"])


async def _check(engine: AsyncEngine, told: Told) -> None:
    total = await assert_log_is_sound(engine)
    names: dict[object, str] = {}
    logged: list[tuple[int, str, int]] = []
    for event in await events(engine):
        if event.version == 1:
            names[event.aggregate_id] = event.event_data["customer_name"]
        logged.append((event.position, names[event.aggregate_id], event.version))
    assert len(set(told.acknowledged)) == len(told.acknowledged) > KILLS, "an acknowledgement was given twice"
    assert set(told.acknowledged) <= set(logged), "an acknowledged command is not in the log"
    placed = Counter(names.values())
    assert set(placed.values()) == {1}, "an order was placed twice"
    assert not told.refused & placed.keys(), "a refused command took effect"
    untold = total - len(told.acknowledged)
    assert untold <= told.answers["urn:daicho:problem:outcome-unknown"], "more took effect than was asked for"
