"""Read sides fed by JetStream (I2, I4, I5): servers, their leader, the relay and a query service are killed under load."""

import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from daicho.migrate import migrate_read_model
from shared.event_log.events import Position
from shared.jetstream.connection import Connection, translate_errors
from shared.jetstream.direct import Direct
from shared.jetstream.errors import StreamUnavailable
from shared.jetstream.log import JetStreamEventLog
from shared.jetstream.stream import Stream
from tests.faults.clients import Service
from tests.faults.conftest import JETSTREAM
from tests.faults.followers import follow_pages
from tests.faults.history import History
from tests.support.apps import ORDER
from tests.support.databases import Server, cloned, connected, migrated_template
from tests.support.nats import STREAM, Nats, Node, nats
from tests.support.nats import connected as nats_connected
from tests.support.orders import append_orders
from tests.support.processes import Process, service
from tests.support.replay import assert_log_is_sound, read_models, replayed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.faults

RATE = 300
"""Commands offered a second."""
PAUSE = 0.01
OFFERED, PER_SECOND = -1, -2
KILLS = 10
GROWN = 100
"""Events between one kill and the next, at least."""
PATIENCE = 60.0


@dataclass(slots=True)
class RelayProcess:
    """`daicho relay` as a process."""

    database: str
    url: str
    output: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        settings = {"DAICHO_DATABASE_URL": self.database, "DAICHO_RELAY_TO": self.url}
        with self.output.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "daicho", "relay", env=settings, stdout=output, stderr=output
            )

    async def end(self, number: signal.Signals) -> None:
        if self.process is not None:
            if self.process.returncode is None:
                self.process.send_signal(number)
            await self.process.wait()


@dataclass(slots=True)
class System:
    """All that is there."""

    engine: AsyncEngine
    nats: Nats
    stream: Stream
    connection: Connection
    relay: RelayProcess
    command: Process
    queries: list[tuple[Process, AsyncEngine]]
    done: list[str] = field(default_factory=list)

    async def head(self) -> int:
        """Give how far the stream is; 0 while nobody can tell."""
        try:
            return await self.stream.head()
        except StreamUnavailable:
            return 0

    async def grown(self, seconds: float = PATIENCE) -> None:
        """Return when the stream has grown: it still works, and is at work."""
        start = 0

        async def has_an_end() -> bool:
            nonlocal start
            start = await self.head()
            return start > 0

        async def has_grown() -> bool:
            return await self.head() > start + GROWN

        await wait_until(has_an_end, "the stream can be asked", seconds)
        await wait_until(has_grown, f"the stream goes on behind {start}", seconds)

    async def leader(self) -> Node:
        """Give the server that leads the stream."""
        name: str | None = None

        async def has_one() -> bool:
            nonlocal name
            try:
                with translate_errors():
                    info = await (await self.connection.context()).stream_info(STREAM)
            except StreamUnavailable:
                return False
            name = info.cluster.leader if info.cluster else None
            return bool(name)

        await wait_until(has_one, "the stream has a leader")
        return next(node for node in self.nats.nodes if node.name == name)


@asynccontextmanager
async def system(
    postgres: Server, database: str, engine: AsyncEngine, template: str, folder: Path
) -> AsyncIterator[System]:
    with nats(3) as servers:
        relay = RelayProcess(database, servers.url, folder / "relay.log")
        async with nats_connected(servers.address) as connection, service("command", database) as command:
            stream = Stream(connection)
            running = System(engine, servers, stream, connection, relay, command, [])
            await relay.start()
            try:
                await append_orders(PostgresEventStore(engine), 300)
                await wait_until(lambda: _holds(running, 1), "the stream is there")
                async with (
                    query(postgres, template, servers) as first,
                    query(postgres, template, servers) as second,
                ):
                    running.queries += [first, second]
                    yield running
            finally:
                await relay.end(signal.SIGTERM)


@asynccontextmanager
async def query(postgres: Server, template: str, servers: Nats) -> AsyncIterator[tuple[Process, AsyncEngine]]:
    async with (
        cloned(postgres, template) as url,
        connected(url) as engine,
        service("query", url, DAICHO_EVENT_SOURCE=servers.url) as process,
    ):
        yield process, engine


@pytest.fixture(scope="module")
def read_model(postgres: Server) -> Iterator[str]:
    with migrated_template(postgres, migrate_read_model) as name:
        yield name


async def test_nothing_is_doubled_or_lost_whatever_is_killed(
    request: pytest.FixtureRequest,
    postgres: Server,
    database: str,
    engine: AsyncEngine,
    read_model: str,
    tmp_path: Path,
) -> None:
    answers: Counter[int] = Counter()
    async with (
        system(postgres, database, engine, read_model, tmp_path) as running,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as http,
    ):
        histories = [History(), History()]
        async with asyncio.TaskGroup() as group:
            stop = asyncio.Event()
            following = [
                group.create_task(follow_pages(history, [Service("query", process.url)], http))
                for history, (process, _) in zip(histories, running.queries, strict=True)
            ]
            load = group.create_task(_offer(running, http, stop, answers))
            async with asyncio.TaskGroup() as faults:
                for fault in (_servers, _relay, _query_service):
                    faults.create_task(fault(running))
            stop.set()
            await load
            total = await assert_log_is_sound(engine)
            await wait_until(lambda: _all_have(running, histories, total), f"everything is at {total}", PATIENCE)
            for task in following:
                task.cancel()
        request.config.stash[JETSTREAM].append(
            f"{answers[201]:,} of {answers[OFFERED]:,} orders placed, {answers[PER_SECOND]:,}/s; {total:,} events relayed once; "
            f"killed: {', '.join(f'{name} {times} times' for name, times in Counter(running.done).items())}"
        )
        await _assert_stream_is_the_log(running, total)
        for history, (_, read_engine) in zip(histories, running.queries, strict=True):
            assert [position for position, _ in history.followed["pages"]] == list(range(1, total + 1)), "I4"
            assert await read_models(read_engine) == await replayed(engine), "I5"
    assert Counter(running.done) == {"a server": 1, "the leader": 1, "the relay": KILLS, "a query service": KILLS}
    assert answers[201] > KILLS * GROWN


async def _servers(running: System) -> None:
    """Kill a server that does not lead, then the one that does; each comes back when the stream goes on without it."""
    for what in ("a server", "the leader"):
        await running.grown()
        leader = await running.leader()
        others = [node for node in running.nats.nodes if node is not leader]
        victim = leader if what == "the leader" else random.choice(others)
        victim.kill()
        running.done.append(what)
        await running.grown()
        victim.start()
        await running.grown()


async def _relay(running: System) -> None:
    for _ in range(KILLS):
        await running.grown()
        await running.relay.end(signal.SIGKILL)
        running.done.append("the relay")
        await running.relay.start()


async def _query_service(running: System) -> None:
    process, engine = running.queries[0]
    for _ in range(KILLS):
        start = await _checkpoint(engine)

        async def has_moved(start: int = start) -> bool:
            return await _checkpoint(engine) > start

        await wait_until(has_moved, "it projects", PATIENCE)
        await process.kill()
        running.done.append("a query service")
        await process.launch()
    await wait_until(process.is_ready, "it is ready again", PATIENCE)


async def _offer(running: System, http: aiohttp.ClientSession, stop: asyncio.Event, answers: "Counter[int]") -> None:
    """Offer so many orders a second until told to stop, whatever becomes of them; count what they are answered."""
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def place() -> None:
        async with http.post(f"{running.command.url}/orders", json=ORDER) as answer:
            answers[answer.status] += 1

    async with asyncio.TaskGroup() as group:
        offered = 0
        while not stop.is_set():
            while offered < (loop.time() - start) * RATE:
                group.create_task(place())
                offered += 1
            await asyncio.sleep(PAUSE)
    answers[OFFERED] = offered
    answers[PER_SECOND] = round(offered / (loop.time() - start))


async def _assert_stream_is_the_log(running: System, total: int) -> None:
    """Every event of the log is in the stream, once, at its position; no id is there twice."""
    log = JetStreamEventLog(running.stream, Direct(running.connection))
    assert await running.stream.check(replicas=3) == total
    relayed = await log.read_all(Position(0), total + 1)
    assert relayed == await PostgresEventStore(running.engine).read_all(Position(0), total + 1)
    assert len({event.event_id for event in relayed}) == total


async def _all_have(running: System, histories: list[History], total: int) -> bool:
    followed = [history.followed.get("pages", []) for history in histories]
    return all(seen and seen[-1][0] >= total for seen in followed) and all(
        [await _checkpoint(engine) >= total for _, engine in running.queries]
    )


async def _holds(running: System, position: int) -> bool:
    return await running.head() >= position


async def _checkpoint(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(text("SELECT min(position) FROM read_model.checkpoints")) or 0)
