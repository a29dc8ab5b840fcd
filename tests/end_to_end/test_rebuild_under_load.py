"""A rebuild while commands and queries go on: nothing fails, nothing waits, nothing lags. `--rebuilt` says how many events."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.aims import rebuild
from command_service.postgres_store import PostgresEventStore
from tests.support.apps import ORDER
from tests.support.databases import connected
from tests.support.processes import daicho, service
from tests.support.replay import assert_read_models_equal_a_replay
from tests.support.waiting import wait_until

pytestmark = pytest.mark.load

RATE = 200
"""Of commands, and of queries, a second."""


LISTS = ("/orders?limit=20", "/statistics", "/orders?status=shipped&sort=-total_amount&limit=20")


class Load:
    """Requests sent on time, however long the answers take."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.failures: list[str] = []
        self.seconds: dict[str, list[float]] = {"command": [], "query": [], "visible": []}
        self.lags: list[float] = []
        self.stop = asyncio.Event()

    async def steadily(self, send: Callable[[int], Awaitable[None]]) -> None:
        loop, tasks, number = asyncio.get_running_loop(), set[asyncio.Future[None]](), 0
        started = loop.time()
        while not self.stop.is_set():
            number += 1
            task = asyncio.ensure_future(send(number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            await asyncio.sleep(max(0.0, started + number / RATE - loop.time()))
        await asyncio.gather(*tasks)

    async def timed(self, kind: str, method: str, url: str, **options: Any) -> tuple[Any, Any]:
        started = perf_counter()
        async with self.http.request(method, url, **options) as answer:
            body = await answer.json()
            if answer.status >= 400:
                self.failures.append(f"{kind}: {body}")
            self.seconds[kind].append(perf_counter() - started)
            return body, answer.headers


@pytest.mark.timeout(1800)
async def test_a_rebuild_disturbs_nobody(request: pytest.FixtureRequest, database: str, engine: AsyncEngine) -> None:
    async with AsyncExitStack() as stack:
        head = await rebuild.fill(engine, request.config.getoption("--rebuilt"))
        commands = (await stack.enter_async_context(service("command", database))).url
        queries = (await stack.enter_async_context(service("query", database))).url
        timeout = aiohttp.ClientTimeout(total=60)
        connector = aiohttp.TCPConnector(limit=0)  # else requests would wait here, not there
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
        load = Load(http)
        await wait_until(lambda: _are(http, queries, lambda one: one["position"] >= head), "it has caught up", 600)

        acknowledged: list[tuple[str, str]] = []

        async def command(_: int) -> None:
            placed, headers = await load.timed("command", "POST", f"{commands}/orders", json=ORDER)
            acknowledged.append((placed["order_id"], headers["Event-Position"]))

        async def query(number: int) -> None:
            if number % 2 and acknowledged:
                order_id, position = acknowledged.pop()
                seen = {"Event-Position": position, "Prefer": "wait=30"}
                await load.timed("visible", "GET", f"{queries}/orders/{order_id}", headers=seen)
            else:
                await load.timed("query", "GET", f"{queries}{LISTS[number // 2 % len(LISTS)]}")

        async def watch() -> None:
            while not load.stop.is_set():
                async with http.get(f"{queries}/projections") as answer:
                    load.lags += [one["lag_seconds"] for one in await answer.json()]
                await asyncio.sleep(0.2)

        async def is_warm() -> bool:
            return len(load.seconds["command"]) >= 5 * RATE

        running = [asyncio.create_task(one) for one in (load.steadily(command), load.steadily(query), watch())]
        await wait_until(is_warm, "everything has been asked for before", 60)
        load.lags.clear()
        started = perf_counter()
        code, output = await daicho(database, "rebuild", "--all", "--no-wait")
        assert code == 0, output
        await wait_until(
            lambda: _are(http, queries, lambda one: one["can_undo"] and not one["rebuild"]), "rebuilt", 600
        )
        seconds = perf_counter() - started
        load.stop.set()
        await asyncio.gather(*running)
        total = await PostgresEventStore(engine).head()
        await wait_until(lambda: _are(http, queries, lambda one: one["position"] >= total), "it has caught up", 60)
    assert load.failures == []
    await assert_read_models_equal_a_replay(engine)
    await _report(load, engine, head, seconds)


async def _report(load: Load, engine: AsyncEngine, head: int, seconds: float) -> None:
    """Print what was measured, beside the same rows by pure SQL and by a transaction per event, in this run."""
    ceiling = head / await rebuild.pure_sql(engine)
    await rebuild.require_same(engine)
    url = engine.url.render_as_string(hide_password=False)
    async with connected(url, autocommit=False) as read_engine:
        one_by_one = await rebuild.one_by_one(engine, read_engine)
    sys.stdout.write(
        f"{head:,} events rebuilt in {seconds:.1f} s under {RATE} commands/s and {RATE} queries/s: {head / seconds:,.0f}/s"
        f" ({head / seconds / ceiling:.2f} of pure SQL's {ceiling:,.0f}/s alone,"
        f" {head / seconds / one_by_one:.0f} times one transaction per event, {one_by_one:,.0f}/s)\n"
        f"lag of the live generation: median {median(load.lags):.3f} s, at most {max(load.lags):.3f} s\n"
    )
    for kind, times in load.seconds.items():
        p99 = quantiles(times, n=100)[98] * 1000
        sys.stdout.write(
            f"{kind:8} {len(times):6,}: median {median(times) * 1000:6.1f} ms, p99 {p99:6.1f} ms, failed 0\n"
        )


async def _are(http: aiohttp.ClientSession, queries: str, wanted: Callable[[Any], bool]) -> bool:
    async with http.get(f"{queries}/projections") as answer:
        return all(wanted(one) for one in await answer.json())
