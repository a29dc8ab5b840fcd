"""Query services as processes, killed while they project and rebuild: `--kills` says how often."""

import asyncio
import random
import sys
from time import perf_counter

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from tests.support.orders import append_orders
from tests.support.processes import Process, service
from tests.support.replay import assert_log_is_sound, assert_read_models_equal_a_replay
from tests.support.waiting import wait_until
from tests.support.writing import writing

pytestmark = pytest.mark.load

PATIENT = {"Prefer": "wait=30"}


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    count: int = request.config.getoption("--kills")
    return count


@pytest.mark.timeout(600)
async def test_when_the_projecting_process_is_killed_the_other_takes_over(
    database: str, engine: AsyncEngine, kills: int
) -> None:
    """I5: each time it is the one that projects, since the other has just been started."""
    store, pauses = PostgresEventStore(engine), []
    async with service("query", database) as one, service("query", database) as other, httpx.AsyncClient() as http:
        async with writing(store):
            for number in range(2 * kills):
                victim, heir = (one, other) if number % 2 == 0 else (other, one)
                await victim.kill()
                started, head = perf_counter(), await store.head()
                answer = await _read(http, heir, head)
                assert int(answer.headers["Event-Position"]) >= head
                pauses.append(perf_counter() - started)
                await victim.start()
        head = await store.head()
        for each in (one, other):
            await _read(http, each, head)
    sys.stdout.write(f"{2 * kills} times taken over, in {max(pauses):.1f} s at most\n")
    await assert_log_is_sound(engine)
    await assert_read_models_equal_a_replay(engine)


async def _read(http: httpx.AsyncClient, of: Process, position: int) -> httpx.Response:
    headers = {**PATIENT, "Event-Position": str(position)}
    answer = await http.get(f"{of.url}/statistics", headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.timeout(600)
async def test_a_rebuild_whose_process_is_killed_goes_on(database: str, engine: AsyncEngine, kills: int) -> None:
    """I5: at whatever moment, the read model is there, and right in the end."""
    store, randomness = PostgresEventStore(engine), random.Random(kills)
    await append_orders(store, 1500)
    async with service("query", database, DAICHO_REBUILD_PROCESSES="2") as one, httpx.AsyncClient(timeout=60) as http:
        await _read(http, one, await store.head())
        for _ in range(kills):
            async with writing(store):
                for name in ("order_summaries", "order_details", "order_items"):
                    assert (await http.post(f"{one.url}/projections/{name}/rebuild")).status_code == 202
                await asyncio.wait([asyncio.create_task(asyncio.sleep(randomness.uniform(0.0, 3.0)))])
                await one.kill()
                await one.start()
                await _read(http, one, await store.head())
            await wait_until(lambda: _is_done(http, one), "every rebuild has come to its end", 120)
            await _read(http, one, await store.head())
            await assert_read_models_equal_a_replay(engine)


async def _is_done(http: httpx.AsyncClient, of: Process) -> bool:
    answer = await http.get(f"{of.url}/projections")
    return all(one["rebuild"] is None for one in answer.json())
