"""Projecting while commands come as fast as they go: whether the projector keeps up, and how its lag goes."""

import asyncio
import time

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks import servers
from benchmarks.bodies import placing
from benchmarks.context import Context
from benchmarks.load import CONNECTIONS, Load, Requests, send
from benchmarks.results import Aim, Curve, Ratio, Result, ratio, series
from shared.database import create_engine

ALONE, PROJECTING = "commands alone", "commands while projecting"
_SAMPLE = 0.25
_TIMES_LONGER = 4
_POSITIONS = text("""
SELECT (SELECT coalesce(max(last_position), 0) FROM event_store.seals), (SELECT min(position) FROM read_model.checkpoints)
""")

_Sample = tuple[float, int, int]
"""Seconds since the start, the log's last position, the read models'."""


async def measure(context: Context) -> list[Result]:
    """Measure commands alone and with the query service projecting, in turn; then one longer leg, in which lag is sampled."""
    url = await servers.fresh_database(context.postgres, "live")
    environment = context.environment(url)
    engine = create_engine(url, application_name="daicho-bench", pool_size=1)
    try:
        async with servers.service("command", environment, context.profiles) as (daicho, _):
            requests = placing(daicho, tokens=context.tokens(CONNECTIONS))
            await send(requests, 1.0)

            async def projecting() -> Load:
                async with servers.service("query", environment):
                    await _drained(engine)
                    return await send(requests, context.seconds)

            async def alone() -> Load:
                return await send(requests, context.seconds)

            loads = await context.in_turn({ALONE: alone, PROJECTING: projecting})
            async with servers.service("query", environment, context.profiles):
                await _drained(engine)
                samples = await _sampled(engine, requests, _TIMES_LONGER * context.seconds)
                drained = await _drained(engine)
    finally:
        await engine.dispose()
    return [_result(loads, samples, drained)]


async def _sampled(engine: AsyncEngine, requests: Requests, seconds: float) -> list[_Sample]:
    """Send commands, and look at the positions meanwhile: until the last command's event is in the log."""
    sending = asyncio.create_task(send(requests, seconds))
    samples, started = [], time.perf_counter()
    while not sending.done():
        samples.append((time.perf_counter() - started, *await _positions(engine)))
        await asyncio.wait([sending], timeout=_SAMPLE)
    await sending
    end = next(number for number, (_, head, _) in enumerate(samples) if head == samples[-1][1])
    return samples[: end + 1]


async def _drained(engine: AsyncEngine) -> float:
    """Wait until the read models have come to the end of the log; give the seconds."""
    started = time.perf_counter()
    async with asyncio.timeout(300):
        while True:
            head, projected = await _positions(engine)
            if projected >= head:
                return time.perf_counter() - started
            await asyncio.sleep(0.01)


async def _positions(engine: AsyncEngine) -> tuple[int, int]:
    async with engine.connect() as connection:
        head, projected = (await connection.execute(_POSITIONS)).one()
        return head, projected or 0


def _result(loads: dict[str, list[Load]], samples: list[_Sample], drained: float) -> Result:
    rates = {name: [load.rate for load in found] for name, found in loads.items()}
    lags = [float(head - projected) for _, head, projected in samples]
    return Result(
        name="live",
        title="Projecting live",
        settings=f"orders placed on {CONNECTIONS} connections as fast as they are answered; all processes share the same cores",
        series=(
            *(series(name, "requests/s", found) for name, found in rates.items()),
            series("lag, sampled", "events", lags),
            series("from the last command to no lag", "s", [drained]),
        ),
        ratios=(
            kept_up(samples),
            ratio(f"{PROJECTING} / {ALONE}", rates[PROJECTING], rates[ALONE]),
        ),
        curves=(Curve(name="lag", x=tuple(at for at, _, _ in samples), y=tuple(lags)),),
        axes=("seconds under load", "events behind the log"),
        notes=("That projecting keeps up is held against the events appended in the later half of the longer leg.",),
    )


def kept_up(samples: list[_Sample]) -> Ratio:
    """Divide the events projected in the later half by those appended in it: below 1, lag grows."""
    (_, head, projected), (_, last_head, last_projected) = samples[len(samples) // 2], samples[-1]
    value = (last_projected - projected) / max(last_head - head, 1)
    return Ratio(name="events projected / events appended", values=(value,), aim=Aim(number=5, bound=0.99))
