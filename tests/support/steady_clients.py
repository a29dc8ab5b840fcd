"""Clients that place orders and read them while something is done to the services; nothing is tried twice."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.support.apps import ORDER

CLIENTS = 8


@dataclass(slots=True)
class Seen:
    """What clients were told: the orders that are placed, how many reads there were, and what went wrong."""

    placed: list[str] = field(default_factory=list)
    reads: int = 0
    failed: list[str] = field(default_factory=list)


@asynccontextmanager
async def steady_clients(commands: str, queries: str) -> AsyncIterator[Seen]:
    """Have clients at work at these URLs while this lasts; their last requests are answered before it ends."""
    seen, stop = Seen(), asyncio.Event()
    async with aiohttp.ClientSession() as http:
        clients = [asyncio.create_task(_work(http, (commands, queries), seen, stop)) for _ in range(CLIENTS)]
        try:
            yield seen
        finally:
            stop.set()
            await asyncio.gather(*clients)


async def _work(http: aiohttp.ClientSession, urls: Sequence[str], seen: Seen, stop: asyncio.Event) -> None:
    """Place an order and read it, again and again."""
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
