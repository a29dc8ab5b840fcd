"""One, two and four processes of the command service on one log, and how they wait for the lock under which it is written."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks import servers
from benchmarks.bodies import placing
from benchmarks.context import Context
from benchmarks.load import CONNECTIONS, Load, Requests, send
from benchmarks.results import Aim, Result, ratio, series
from shared.database import create_engine

_COUNTS = (1, 2, 4)
_SAMPLE = 0.02
_WAITS = text("""
SELECT coalesce(wait_event_type || ':' || wait_event, 'running') FROM pg_stat_activity
WHERE application_name = 'daicho-append' AND state = 'active' AND datname = current_database()
""")
_LOCK = "Lock:advisory"

_Leg = tuple[Load, float]
"""The load, and the share of the appends' time in which they wait for the lock."""


async def measure(context: Context) -> list[Result]:
    """Measure all in turn, the same connections spread over the processes."""
    url = await servers.fresh_database(context.postgres, "processes")
    engine = create_engine(url, application_name="daicho-bench", pool_size=1)
    try:
        async with servers.several("command", max(_COUNTS), context.environment(url)) as urls:
            tokens = context.tokens(CONNECTIONS)
            await send(placing(*urls, tokens=tokens), 2.0)
            legs: dict[str, Callable[[], Awaitable[_Leg]]] = {
                _name(count): partial(_leg, engine, placing(*urls[:count], tokens=tokens), context.seconds)
                for count in _COUNTS
            }
            return [_result(await context.in_turn(legs))]
    finally:
        await engine.dispose()


def _name(count: int) -> str:
    return f"{count} process{'es' if count > 1 else ''}"


async def _leg(engine: AsyncEngine, requests: Requests, seconds: float) -> _Leg:
    sending = asyncio.create_task(send(requests, seconds))
    waits: Counter[str] = Counter()
    while not sending.done():
        async with engine.connect() as connection:
            waits.update((await connection.scalars(_WAITS)).all())
        await asyncio.wait([sending], timeout=_SAMPLE)
    return await sending, waits[_LOCK] / max(waits.total(), 1)


def _result(found: dict[str, list[_Leg]]) -> Result:
    rates = {name: [load.rate for load, _ in legs] for name, legs in found.items()}
    p99s = {name: [load.p99 for load, _ in legs] for name, legs in found.items()}
    one, *more = rates
    return Result(
        name="processes",
        title="Several command services on one log",
        settings=f"{CONNECTIONS} connections spread over the processes, which share the cores with PostgreSQL",
        series=(
            *(series(name, "requests/s", values) for name, values in rates.items()),
            *(series(f"{name}, p99", "ms", values) for name, values in p99s.items()),
            *(
                series(f"{name}, appends waiting for the lock", "share of samples", [share for _, share in legs])
                for name, legs in found.items()
            ),
        ),
        ratios=(
            *(ratio(f"{name} / {one}", rates[name], rates[one], Aim(number=9, bound=1.0)) for name in more),
            *(ratio(f"{name} / {one}, p99", p99s[name], p99s[one], Aim(number=9, bound=3.0, at_least=False)) for name in more),
        ),
        notes=("The lock's wait is that of sessions that append, sampled in `pg_stat_activity` each 20 ms.",),
    )  # fmt: skip
