"""From a command's acknowledgement to its being visible, beside raw LISTEN/NOTIFY and one commit."""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import asyncpg

from benchmarks import floor, servers
from benchmarks.bodies import ORDER
from benchmarks.context import Context
from benchmarks.results import Aim, Result, percentile, ratio, series
from query_service.tables import CHANNEL
from shared.ids import new_id_text

RAW, VISIBLE, READ = "LISTEN/NOTIFY and one commit", "visible", "read by the client that wrote it"
_SAMPLES_A_SECOND = 50
_PROJECTED = "SELECT min(position) FROM read_model.checkpoints"

_Sample = Callable[[], Awaitable[float]]


async def measure(context: Context) -> list[Result]:
    """Take samples of each in turn, one command at a time; give medians by round."""
    url = await servers.fresh_database(context.postgres, "lag")
    await servers.execute(url, "CREATE TABLE public.committed (at bigint PRIMARY KEY)")
    environment = context.environment(url)
    async with (
        servers.service("command", environment) as (command, _),
        servers.service("query", environment, context.profiles) as (query, _),
        raw_samples(url) as raw,
        visible_samples(url, command, query, context.tokens(1)[0]) as (visible, read),
    ):
        count = max(10, int(_SAMPLES_A_SECOND * context.seconds))

        def median_of(sample: _Sample) -> Callable[[], Awaitable[list[float]]]:
            async def samples() -> list[float]:
                return [await sample() * 1e3 for _ in range(count)]

            return samples

        for sample in (raw, visible, read):
            await median_of(sample)()
        found = await context.in_turn({RAW: median_of(raw), VISIBLE: median_of(visible), READ: median_of(read)})
    medians = {name: [statistics.median(samples) for samples in rounds] for name, rounds in found.items()}
    return [_result(medians, {name: [percentile(samples, 99) for samples in rounds] for name, rounds in found.items()}, count)]  # fmt: skip


@asynccontextmanager
async def raw_samples(url: str) -> AsyncIterator[_Sample]:
    """One connection notifies, another commits a row when it hears: give what takes a sample of the seconds."""
    sender, hearer = await floor.connect(url), await floor.connect(url)
    heard: asyncio.Queue[str] = asyncio.Queue()
    await hearer.add_listener("raw", lambda *notification: heard.put_nowait(str(notification[3])))
    notify = await sender.prepare("SELECT pg_notify('raw', $1)")
    commit = await hearer.prepare("INSERT INTO public.committed VALUES ($1)")
    await commit.fetch(
        0
    )  # What is prepared but not run leaves the connection in the midst of things: it hears nothing.
    number = 0

    async def sample() -> float:
        nonlocal number
        number += 1
        await notify.fetch(str(number))
        acknowledged = time.perf_counter()
        await commit.fetch(int(await heard.get()))
        return time.perf_counter() - acknowledged

    yield sample
    await sender.close()
    await hearer.close()


@asynccontextmanager
async def visible_samples(url: str, command: str, query: str, token: str) -> AsyncIterator[tuple[_Sample, _Sample]]:
    """Give what takes samples of the seconds until a projection has committed, and until its client has read it."""
    watcher, looker = await floor.connect(url), await floor.connect(url)
    moved: asyncio.Queue[float] = asyncio.Queue()
    await watcher.add_listener(CHANNEL, lambda *_: moved.put_nowait(time.perf_counter()))
    projected = await looker.prepare(_PROJECTED)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:

        async def visible() -> float:
            position, acknowledged, _ = await _place(http, command)
            while True:
                at = await moved.get()
                if await projected.fetchval() >= position and moved.empty():
                    return max(0.0, at - acknowledged)

        async def read() -> float:
            position, acknowledged, path = await _place(http, command)
            async with http.get(query + path, headers={"Event-Position": str(position)}) as answer:
                answer.raise_for_status()
                await answer.read()
            seconds = time.perf_counter() - acknowledged
            await _caught_up(projected, position)
            while not moved.empty():
                moved.get_nowait()
            return seconds

        yield visible, read
    await watcher.close()
    await looker.close()


async def _place(http: aiohttp.ClientSession, command: str) -> tuple[int, float, str]:
    """Place an order; give its position, when it was acknowledged, and where it is."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": new_id_text()}
    async with http.post(f"{command}/orders", data=json.dumps(ORDER), headers=headers) as answer:
        acknowledged = time.perf_counter()
        answer.raise_for_status()
        return int(answer.headers["Event-Position"]), acknowledged, answer.headers["Location"]


async def _caught_up(projected: "asyncpg.prepared_stmt.PreparedStatement[Any]", position: int) -> None:
    async with asyncio.timeout(30):
        while await projected.fetchval() < position:  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.001)


def _result(medians: dict[str, list[float]], p99s: dict[str, list[float]], count: int) -> Result:
    return Result(
        name="lag",
        title="From acknowledgement to visible",
        settings=f"one order at a time, {count} samples a round; the clock starts when the answer, or the NOTIFY's, is there",
        series=(
            *(series(f"{name}, median", "ms", found) for name, found in medians.items()),
            *(series(f"{name}, p99", "ms", found) for name, found in p99s.items()),
        ),
        ratios=(
            ratio("visible / LISTEN/NOTIFY and one commit, medians", medians[VISIBLE], medians[RAW], Aim(number=7, bound=3.0, at_least=False)),
            ratio("read / LISTEN/NOTIFY and one commit, medians", medians[READ], medians[RAW]),
        ),
        notes=("Visible: the projection's transaction has committed, which its own NOTIFY tells. Read: with `Event-Position`, over HTTP.",),
    )  # fmt: skip
