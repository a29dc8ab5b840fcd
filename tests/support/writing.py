"""Orders that come as long as something lasts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from command_service.postgres_store import PostgresEventStore
from tests.support.orders import append_orders

_PAUSE = 0.02
"""Seconds between one append and the next, so that whoever follows keeps up on a slow machine too."""


@asynccontextmanager
async def writing(
    store: PostgresEventStore, after: Callable[[], Awaitable[object]] | None = None
) -> AsyncIterator[None]:
    """Append orders, some after the others, as long as this lasts; `after` is waited for each time."""
    stop = asyncio.Event()

    async def write() -> None:
        seed = 1000
        while not stop.is_set():
            seed += 1
            await append_orders(store, 5, seed=seed)
            await (after() if after else asyncio.sleep(_PAUSE))

    task = asyncio.create_task(write())
    try:
        yield
    finally:
        stop.set()
        await task
