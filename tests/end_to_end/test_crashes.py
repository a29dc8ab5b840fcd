"""I4 and I5 hold through crashes: the query service killed in mid-projection, its backends, the command service."""

import asyncio
import random

import aiohttp
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from tests.support.apps import ORDER
from tests.support.orders import append_orders
from tests.support.processes import Process, service
from tests.support.replay import assert_log_is_sound, assert_read_models_equal_a_replay
from tests.support.waiting import wait_until

pytestmark = pytest.mark.load

ORDERS = 3000
KILLS = 6


async def test_the_query_service_is_killed_in_mid_projection(database: str, engine: AsyncEngine) -> None:
    store = PostgresEventStore(engine)
    async with service("query", database, DAICHO_PROJECTION_BATCH="20") as reader:
        appending = asyncio.create_task(append_orders(store, ORDERS))
        in_mid_projection = 0
        for _ in range(KILLS):
            start = await _position(engine)
            await wait_until(lambda start=start: _is_past(engine, start), "it projects")  # type: ignore[misc]
            await reader.kill()
            in_mid_projection += await _position(engine) < await store.head()
            await reader.start()
        total = await appending
        await wait_until(lambda: _is_past(engine, total - 1), "it has caught up", 60)
    assert in_mid_projection > 0, "no kill came before the projector was done"
    assert await assert_log_is_sound(engine) == total
    await assert_read_models_equal_a_replay(engine)


async def test_backends_are_killed_while_it_projects(database: str, engine: AsyncEngine) -> None:
    store = PostgresEventStore(engine)
    randomness = random.Random(1)
    async with service("query", database, DAICHO_PROJECTION_BATCH="50", DAICHO_POLL_INTERVAL="60"):
        appending = asyncio.create_task(append_orders(store, ORDERS))
        while not appending.done():
            await _kill_one(engine, randomness.choice(["daicho-listen", "daicho-project"]))
        total = await appending
        await wait_until(lambda: _is_past(engine, total - 1), "it has caught up by itself", 60)
    await assert_read_models_equal_a_replay(engine)


async def test_acknowledged_commands_survive_the_command_service(database: str, engine: AsyncEngine) -> None:
    """I1, I7: kill -9 in the middle of commands; clients repeat what was not answered, with their keys."""
    async with service("command", database) as writer, service("query", database) as reader:
        clients = [asyncio.create_task(_client(writer, number)) for number in range(8)]
        for _ in range(3):
            before = await _head(engine)
            await wait_until(lambda before=before: _grown(engine, before), "commands are carried out")  # type: ignore[misc]
            await writer.kill()
            await writer.start()
        positions = [position for part in await asyncio.gather(*clients) for position in part]
        total = await assert_log_is_sound(engine)
        await wait_until(lambda: _is_past(engine, total - 1), "the read models are current")
        assert (await _get(f"{reader.url}/statistics"))["total_count"] == len(positions)
    assert len(set(positions)) == len(positions) == total
    await assert_read_models_equal_a_replay(engine)


async def _client(writer: Process, number: int) -> list[int]:
    """Place orders one after the other, each with a key, again and again until it is answered."""
    positions = []
    async with aiohttp.ClientSession() as http:
        for order in range(150):
            key = {"Idempotency-Key": f"{number}-{order}"}
            while True:
                try:
                    async with http.post(f"{writer.url}/orders", json=ORDER, headers=key) as answer:
                        if answer.status == 201:
                            positions.append(int(answer.headers["Event-Position"]))
                            break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
    return positions


async def _get(url: str) -> dict[str, int]:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        content: dict[str, int] = await answer.json()
        return content


async def _scalar(engine: AsyncEngine, query: str) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(text(query)) or 0)


async def _head(engine: AsyncEngine) -> int:
    return await _scalar(engine, "SELECT max(position) FROM event_store.events")


async def _grown(engine: AsyncEngine, before: int) -> bool:
    return await _head(engine) > before + 100


async def _position(engine: AsyncEngine) -> int:
    return await _scalar(engine, "SELECT min(position) FROM read_model.checkpoints")


async def _is_past(engine: AsyncEngine, position: int) -> bool:
    return await _position(engine) > position


async def _kill_one(engine: AsyncEngine, name: str) -> None:
    await _scalar(
        engine,
        f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        f"WHERE datname = current_database() AND application_name = '{name}'",
    )
