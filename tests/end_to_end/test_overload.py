"""Ten times the load that can be served: what is accepted is done in time, the rest is told so at once. I1, I10."""

import asyncio
import json
import statistics
import sys
from collections.abc import Sequence

import httpx
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.open_loop import Result
from tests.support.processes import Process, service

pytestmark = pytest.mark.load

TIMES = (1, 2, 5, 10)
DEADLINE = 10.0
MOST_GROWTH = 1.3
"""Of the service's memory, from after the first load to after the last."""
_COLUMNS = "  {:>5} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7}"


@pytest.mark.timeout(300)
async def test_ten_times_the_load_is_answered(
    database: str, engine: AsyncEngine, request: pytest.FixtureRequest
) -> None:
    seconds = request.config.getoption("--overload-seconds")
    limits = {"DAICHO_COMMAND_DEADLINE": f"{DEADLINE:g}", "DAICHO_STATE_CACHE_BYTES": "1000000"}
    async with service("command", database, None, **limits) as commands:
        warm, closed = [await load(commands, 0, seconds / 2) for _ in range(2)]
        capacity = len(closed.placed) / closed.seconds
        # Memory is held against what it is once as many have been connected as ever will be.
        most = await load(commands, max(TIMES) * capacity, seconds)
        results = [warm, closed, most]
        print(f"\n  capacity: {capacity:.0f} commands/s, by 64 clients that wait for their answers")  # noqa: T201
        heads = (
            "load",
            "offered/s",
            "placed/s",
            "shed/s",
            "unsent/s",
            "p50 ms",
            "p99 ms",
            "shed p50",
            "shed p99",
            "MiB",
            "after",
        )
        print(_COLUMNS.format(*heads))  # noqa: T201
        first = memory(commands)
        for times in TIMES:
            before = memory(commands)
            result, _ = await asyncio.gather(load(commands, times * capacity, seconds), is_ready(commands, seconds / 2))
            print(row(times, times * capacity, result, before, memory(commands)))  # noqa: T201
            results.append(result)
            assert result.odd == []
            assert percentile(result.placed_after, 99) < DEADLINE
            assert percentile(result.shed_after, 99) < DEADLINE
        assert len(results[-1].shed_after) > len(results[-1].placed_after) > 0
        assert memory(commands) < MOST_GROWTH * first
    async with engine.connect() as connection:
        logged = list(await connection.scalars(text("SELECT aggregate_id::text FROM event_store.events")))
    assert sorted(logged) == sorted(order_id for result in results for order_id in result.placed)


async def load(commands: Process, rate: float, seconds: float) -> Result:
    """Run the load as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.open_loop", str(commands.port), str(rate), str(seconds),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0
    return Result(**json.loads(output))


async def is_ready(commands: Process, after: float) -> None:
    """In the midst of it, the service says that it is ready."""
    await asyncio.sleep(after)
    async with httpx.AsyncClient(timeout=DEADLINE) as http:
        assert (await http.get(f"{commands.url}/health/ready")).status_code == 200


def row(times: int, offered: float, result: Result, before: float, after: float) -> str:
    rates = (
        len(result.placed) / result.seconds,
        len(result.shed_after) / result.seconds,
        result.unsent / result.seconds,
    )
    delays = (
        *(1000 * percentile(result.placed_after, share) for share in (50, 99)),
        *(1000 * percentile(result.shed_after, share) for share in (50, 99)),
    )
    return _COLUMNS.format(f"{times}×", *(f"{number:.0f}" for number in (offered, *rates, *delays, before, after)))


def percentile(seconds: Sequence[float], share: int) -> float:
    return statistics.quantiles(seconds, n=100)[share - 1] if len(seconds) > 1 else 0.0


def memory(commands: Process) -> float:
    """Give the service's resident memory in MiB."""
    assert commands.process is not None
    return float(psutil.Process(commands.process.pid).memory_info().rss) / 2**20
