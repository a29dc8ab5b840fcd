"""Two replicas of each service behind a proxy, restarted one after the other under load: no request fails. I1, I9."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

import aiohttp
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER
from tests.support.balancer import balanced
from tests.support.processes import service
from tests.support.waiting import wait_until

pytestmark = pytest.mark.load

CLIENTS = 8
DRAIN = "1.5"


@dataclass(slots=True)
class Seen:
    """What clients were told: the orders that are placed, how many reads there were, and what went wrong."""

    placed: list[str] = field(default_factory=list)
    reads: int = 0
    failed: list[str] = field(default_factory=list)


@pytest.mark.timeout(300)
async def test_no_request_fails_while_replicas_are_restarted_in_turn(
    database: str, engine: AsyncEngine, request: pytest.FixtureRequest
) -> None:
    seen, stop, rounds = Seen(), asyncio.Event(), request.config.getoption("--rounds")
    async with AsyncExitStack() as stack:
        replicas = {
            name: [
                await stack.enter_async_context(service(name, database, DAICHO_DRAIN_SECONDS=DRAIN)) for _ in range(2)
            ]
            for name in ("command", "query")
        }
        proxies = {
            name: await stack.enter_async_context(balanced(*(one.url for one in those)))
            for name, those in replicas.items()
        }
        urls = [proxy.url for proxy in proxies.values()]
        http = await stack.enter_async_context(aiohttp.ClientSession())
        clients = [asyncio.create_task(_work(http, urls, seen, stop)) for _ in range(CLIENTS)]
        for _ in range(rounds):
            for name, replica in [(name, one) for name, those in replicas.items() for one in those]:
                before = len(seen.placed)
                assert await replica.stop() == 0
                await replica.start()
                await wait_until(partial(proxies[name].knows, replica.url), "the proxy sends to it again")
                assert len(seen.placed) > before, "the other replica served meanwhile"
        stop.set()
        await asyncio.gather(*clients)
    assert seen.failed == []
    async with engine.connect() as connection:
        logged = await connection.scalars(text("SELECT aggregate_id::text FROM event_store.events"))
        assert sorted(logged) == sorted(seen.placed)
    restarts = rounds * sum(map(len, replicas.values()))
    print(f"\n{restarts} restarts: {len(seen.placed)} commands and {seen.reads} reads, none of which failed")  # noqa: T201


async def _work(http: aiohttp.ClientSession, urls: Sequence[str], seen: Seen, stop: asyncio.Event) -> None:
    """Place an order and read it, again and again; nothing is tried twice."""
    commands, queries = urls
    while not stop.is_set():
        async with http.post(f"{commands}/orders", json=ORDER) as answer:
            if answer.status != 201:
                seen.failed.append(f"{answer.status}: {await answer.text()}")
                continue
            order_id = (await answer.json())["order_id"]
            position = answer.headers["Event-Position"]
        seen.placed.append(order_id)
        headers = {"Event-Position": position, "Prefer": "wait=30"}
        async with http.get(f"{queries}/orders/{order_id}", headers=headers) as answer:
            seen.reads += 1
            if answer.status != 200:
                seen.failed.append(f"{answer.status}: {await answer.text()}")
