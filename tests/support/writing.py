"""Orders that come as long as something lasts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from command_service.postgres_store import PostgresEventStore
from tests.support.orders import append_orders


@asynccontextmanager
async def writing(store: PostgresEventStore) -> AsyncIterator[None]:
    """Append orders, some after the others, as long as this lasts."""
    stop = asyncio.Event()

    async def write() -> None:
        seed = 1000
        while not stop.is_set():
            seed += 1
            await append_orders(store, 5, seed=seed)

    task = asyncio.create_task(write())
    try:
        yield
    finally:
        stop.set()
        await task
