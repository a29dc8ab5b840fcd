"""Faults, each a context: entering it does the damage, leaving it undoes what does not mend by itself."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import asyncpg

from query_service.orders.aggregate import ORDERS
from query_service.rebuild import requests
from tests.faults.cluster import MAX_CONNECTIONS, Cluster, Replica
from tests.faults.history import Fault, History
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
APPENDS = b"correlation_id"
"""What an append's parameters hold, and no other request of a service."""


@dataclass(frozen=True, slots=True)
class Hand:
    """What a fault works with."""

    cluster: Cluster
    randomness: random.Random

    def replica(self, *kinds: str) -> Replica:
        """Choose a service's process."""
        return self.randomness.choice([one for kind in kinds for one in self.cluster.replicas[kind]])

    async def last(self, least: float, most: float) -> None:
        """Let time pass while the fault does its harm."""
        await asyncio.sleep(self.randomness.uniform(least, most))


Told = AsyncIterator[str]
"""A fault yields what exactly it did."""


class FaultKind(NamedTuple):
    """A fault, by name."""

    name: str
    inject: Callable[[Hand], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def command_service_killed(hand: Hand) -> Told:
    victim = hand.replica("command")
    victim.signal(signal.SIGKILL)
    yield victim.name


@asynccontextmanager
async def query_service_killed(hand: Hand) -> Told:
    victim = hand.replica("query")
    victim.signal(signal.SIGKILL)
    yield victim.name


@asynccontextmanager
async def service_paused(hand: Hand) -> Told:
    victim = hand.replica("command", "query")
    process = victim.process.process
    assert process is not None
    victim.signal(signal.SIGSTOP)
    try:
        yield victim.name
        await hand.last(0.5, 4.0)
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def connections_cut(hand: Hand) -> Told:
    victim = hand.replica("command", "query")
    victim.proxy.cut()
    yield victim.name


@asynccontextmanager
async def network_parted(hand: Hand) -> Told:
    victim = hand.replica("command", "query")
    victim.proxy.cut(stay_away=True)
    try:
        yield victim.name
        await hand.last(0.5, 4.0)
    finally:
        victim.proxy.heal()


@asynccontextmanager
async def packets_dropped(hand: Hand) -> Told:
    """Nothing passes, one way or both; then the connections break, or what was held arrives late."""
    victim, way = hand.replica("command", "query"), hand.randomness.choice(["requests", "answers", "both"])
    if way != "answers":
        victim.proxy.hold_requests()
    if way != "requests":
        victim.proxy.hold_answers()
    try:
        yield f"{victim.name}, {way}"
        await hand.last(0.5, 4.0)
        if hand.randomness.random() < 0.5:
            victim.proxy.cut()
    finally:
        victim.proxy.heal()


@asynccontextmanager
async def packets_delayed(hand: Hand) -> Told:
    victim = hand.replica("command", "query")
    victim.proxy.delay = hand.randomness.uniform(0.01, 0.1)
    try:
        yield f"{victim.name}, {victim.proxy.delay * 1000:.0f} ms"
        await hand.last(1.0, 3.0)
    finally:
        victim.proxy.delay = 0.0


@asynccontextmanager
async def answers_lost(hand: Hand) -> Told:
    """Appends are carried out, and their connections cut instead of answering."""
    victim = hand.replica("command")
    victim.proxy.lose_answers(APPENDS, hand.randomness.randint(1, 5))
    try:
        yield victim.name
        await hand.last(0.5, 2.0)
    finally:
        victim.proxy.lose_answers(APPENDS, 0)


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
    for pid in hand.randomness.sample(found, min(len(found), 1)):
        os.kill(pid, signal.SIGKILL)
    yield f"one of {len(found)}"
    await wait_until(hand.cluster.is_up, "PostgreSQL has recovered", 60)


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


SERVICE_FAULTS: Sequence[FaultKind] = (
    FaultKind("kill -9 command service", command_service_killed),
    FaultKind("kill -9 query service", query_service_killed),
    FaultKind("pause a service", service_paused),
    FaultKind("cut connections", connections_cut),
    FaultKind("part the network", network_parted),
    FaultKind("drop packets", packets_dropped),
    FaultKind("delay packets", packets_delayed),
    FaultKind("lose answers of appends", answers_lost),
)
POSTGRES_FAULTS: Sequence[FaultKind] = (
    FaultKind("terminate backends", backends_terminated),
    FaultKind("pause a backend", backend_paused),
    FaultKind("fill the connection limit", connection_limit_filled),
    FaultKind("kill -9 PostgreSQL", postgres_killed),
    FaultKind("kill -9 a backend", backend_killed),
    FaultKind("restart PostgreSQL in a batch", postgres_restarted_in_a_batch),
    FaultKind("restart PostgreSQL in a rebuild", postgres_restarted_in_a_rebuild),
)


async def torment(hand: Hand, history: History, kinds: Sequence[FaultKind], until: float) -> None:
    """Inject faults one after the other: each kind once, in random order, and again until that moment of the run."""
    order: Sequence[FaultKind] = ()
    for number in count():
        if number >= len(kinds) and history.now() >= until:
            return
        if number % len(kinds) == 0:
            order = hand.randomness.sample(kinds, len(kinds))
        kind, started = order[number % len(kinds)], history.now()
        async with kind.inject(hand) as what:
            pass
        history.faults.append(Fault(kind.name, what, started, history.now()))
        await hand.last(0.5, 3.0)
