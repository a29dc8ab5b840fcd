"""An append costs no more on a grown log than on a fresh one: no plan was kept from when the log was small."""

import statistics
import time

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from tests.support.databases import connected
from tests.support.events import a_commit

EVENTS = 50_000
BATCH = 50
ALLOWED = 4.0
"""A scan of the whole log in every append is more than ten times as slow at this size."""


async def test_append_stays_as_fast_on_a_fresh_log_that_grows(database: str) -> None:
    async with connected(database, 1) as engine:
        # What autovacuum does to a log of a few events: from here on, the planner takes it to be tiny.
        await _append(engine)
        async with engine.connect() as connection:
            for table in ("events", "seals"):
                await connection.execute(text(f"VACUUM ANALYZE event_store.{table}"))
        costs = [await _append(engine) for _ in range(EVENTS // BATCH)]
    window = len(costs) // 10
    first, last = statistics.median(costs[5 : 5 + window]), statistics.median(costs[-window:])
    assert last < ALLOWED * first, f"an append took {last / first:.1f} times as long at the end as at the start"


async def _append(engine: AsyncEngine) -> float:
    commits = [a_commit() for _ in range(BATCH)]
    started = time.perf_counter()
    await PostgresEventStore(engine).append(commits)
    return time.perf_counter() - started
