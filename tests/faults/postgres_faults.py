"""Faults of PostgreSQL."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.orders.aggregate import ORDERS
from query_service.rebuild import requests
from shared.database import DRIVER_ERRORS
from tests.faults.cluster import MAX_CONNECTIONS
from tests.faults.fault import FaultKind, Hand, Told
from tests.support.databases import connected
from tests.support.waiting import wait_until

_THEIRS = "FROM pg_stat_activity WHERE usename IN ('daicho_command', 'daicho_query') AND application_name LIKE :names"
TERMINATE = f"SELECT pid, pg_terminate_backend(pid) {_THEIRS}"
BACKENDS = f"SELECT pid {_THEIRS}"
PROJECTING = """
SELECT 1 FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'daicho-project' AND xact_start IS NOT NULL
"""
REBUILDING = "SELECT 1 FROM read_model.checkpoints WHERE generation = 'next' AND state <> 'requested'"


@asynccontextmanager
async def backends_terminated(hand: Hand, names: str = "") -> Told:
    names = names or hand.randomness.choice(["daicho-append", "daicho-project%", "daicho-listen%", "daicho-%"])
    count = 0
    for _ in range(hand.randomness.randint(2, 10)):
        count += len(await hand.cluster.query(TERMINATE, names=names))
        await hand.last(0.0, 0.3)
    yield f"{count} of {names}"


@asynccontextmanager
async def backend_paused(hand: Hand) -> Told:
    """One of PostgreSQL's processes stands still, with all the locks it holds."""
    names = hand.randomness.choice(["daicho-append", "daicho-project%", "daicho-%"])
    found = [row.pid for row in await hand.cluster.query(BACKENDS, names=names)]
    if not found:
        yield f"none of {names}"
        return
    pid = hand.randomness.choice(found)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield f"one of {names}"
        await hand.last(0.5, 3.0)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def connection_limit_filled(hand: Hand) -> Told:
    """All that are free are taken, then the services lose theirs, and find no other."""
    url = hand.cluster.url.replace("//postgres@", "//daicho_query@")
    async with AsyncExitStack() as stack:
        taken = 0
        for round_ in range(2):
            with suppress(asyncpg.TooManyConnectionsError):
                while taken < MAX_CONNECTIONS:
                    stack.push_async_callback((await asyncpg.connect(url)).close)
                    taken += 1
            if round_ == 0:
                await hand.cluster.query(TERMINATE, names="daicho-%")
        yield f"{taken} taken"
        await hand.last(1.0, 3.0)


@asynccontextmanager
async def postgres_killed(hand: Hand) -> Told:
    await hand.cluster.kill_postgres()
    try:
        yield "all of its processes"
        await hand.last(0.0, 2.0)
    finally:
        await hand.cluster.start_postgres()


@asynccontextmanager
async def backend_killed(hand: Hand) -> Told:
    """SIGKILL to one backend: PostgreSQL ends all others and recovers by itself."""
    found = [row.pid for row in await hand.cluster.query(BACKENDS, names="daicho-%")]
    if not found:
        yield "there was none"
        return
    async with connected(hand.cluster.url, 1) as engine, engine.connect() as witness:
        os.kill(hand.randomness.choice(found), signal.SIGKILL)
        await wait_until(lambda: _is_broken(witness), "PostgreSQL has ended all connections")
    yield f"one of {len(found)}"
    await wait_until(hand.cluster.is_up, "PostgreSQL has recovered", 60)


async def _is_broken(connection: AsyncConnection) -> bool:
    try:
        await connection.exec_driver_sql("SELECT 1")
    except DRIVER_ERRORS:
        return True
    return False


@asynccontextmanager
async def postgres_restarted_in_a_batch(hand: Hand) -> Told:
    is_hit = await _within(hand, PROJECTING, 3.0)
    async with _restarted(hand):
        yield "while projecting" if is_hit else "nothing was being projected"


@asynccontextmanager
async def postgres_restarted_in_a_rebuild(hand: Hand) -> Told:
    async with connected(hand.cluster.url, 1, autocommit=False) as engine, engine.begin() as connection:
        await requests.request(connection, ORDERS.projections)
    is_hit = await _within(hand, REBUILDING, 8.0)
    async with _restarted(hand):
        yield "while rebuilding" if is_hit else "no rebuild had begun"


async def _within(hand: Hand, query: str, seconds: float) -> bool:
    """Wait until a query finds something, but not longer; then a random moment more."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    async with connected(hand.cluster.url, 1) as engine, engine.connect() as connection:
        while loop.time() < deadline:
            if (await connection.exec_driver_sql(query)).first() is not None:
                await hand.last(0.0, 0.02)
                return True
            await asyncio.sleep(0.002)
    return False


@asynccontextmanager
async def _restarted(hand: Hand) -> AsyncIterator[None]:
    await hand.cluster.stop_postgres()
    try:
        yield
        await hand.last(0.0, 1.0)
    finally:
        await hand.cluster.start_postgres()


POSTGRES_FAULTS: Sequence[FaultKind] = (
    FaultKind("terminate backends", backends_terminated),
    FaultKind("pause a backend", backend_paused),
    FaultKind("fill the connection limit", connection_limit_filled),
    FaultKind("kill -9 PostgreSQL", postgres_killed),
    FaultKind("kill -9 a backend", backend_killed),
    FaultKind("restart PostgreSQL in a batch", postgres_restarted_in_a_batch),
    FaultKind("restart PostgreSQL in a rebuild", postgres_restarted_in_a_rebuild),
)
