"""Real NATS servers with JetStream on loopback, alone or three together, and the log relayed to them."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit, Outcome
from command_service.postgres_store import PostgresEventStore
from daicho.relay import Relay
from shared.event_log.events import Position, RecordedEvent, StreamId, Version
from shared.event_log.reader import PostgresEventLog
from shared.jetstream.address import NatsAddress
from shared.jetstream.connection import Connection, translate_errors
from shared.jetstream.direct import Direct
from shared.jetstream.errors import StreamUnavailable
from shared.jetstream.log import JetStreamEventLog
from shared.jetstream.stream import Stream
from shared.process import die_with_parent
from tests.support.processes import free_port
from tests.support.waiting import wait_until

STREAM = "daicho"


@dataclass(slots=True)
class Node:
    """One server's process; `start` may follow `kill`."""

    name: str
    port: int
    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        program = str(Path(sys.executable).parent / "nats-server")
        self.process = subprocess.Popen([program, *self.arguments], preexec_fn=die_with_parent)  # noqa: PLW1509 - no threads yet

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True, slots=True)
class Nats:
    """Servers that stand together."""

    nodes: Sequence[Node]

    @property
    def url(self) -> str:
        return ",".join(node.url for node in self.nodes)

    @property
    def address(self) -> NatsAddress:
        return NatsAddress([node.url for node in self.nodes], STREAM)


@contextmanager
def nats(nodes: int = 1, *arguments: str, max_payload: str = "1MB") -> Iterator[Nats]:
    """Run so many servers as one cluster while this lasts."""
    with TemporaryDirectory(prefix="daicho-nats-") as folder:
        configuration = Path(folder) / "nats.conf"
        configuration.write_text(f"max_payload: {max_payload}\n", encoding="utf-8")
        ports, routes = [free_port() for _ in range(nodes)], [free_port() for _ in range(nodes)]
        together = ",".join(f"nats://127.0.0.1:{route}" for route in routes)
        servers = []
        for number, (port, route) in enumerate(zip(ports, routes, strict=True)):
            alone = [
                "-c",
                str(configuration),
                "-a",
                "127.0.0.1",
                "-p",
                str(port),
                "-js",
                "-sd",
                f"{folder}/{number}",
                "-l",
                f"{folder}/{number}.log",
            ]
            clustered = ["-n", f"node{number}", "--cluster_name", "daicho", "--cluster", f"nats://127.0.0.1:{route}"]
            clustered += ["--routes", together]
            servers.append(Node(f"node{number}", port, [*alone, *(clustered if nodes > 1 else []), *arguments]))
        try:
            for server in servers:
                server.start()
            yield Nats(servers)
        finally:
            for server in servers:
                server.kill()


@asynccontextmanager
async def connected(address: NatsAddress) -> AsyncIterator[Connection]:
    """Give a connection, once JetStream is there."""
    connection = Connection(address, "daicho-test")

    async def is_there() -> bool:
        try:
            with translate_errors():
                await (await connection.context()).account_info()
        except StreamUnavailable:
            return False
        return True

    try:
        await wait_until(is_there, "JetStream is there")
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def without_stream(nats: Nats) -> AsyncIterator[NatsAddress]:
    """Give the address of a stream that is not there yet, and remove it in the end."""
    async with connected(nats.address) as connection:
        yield nats.address
        context = await connection.context()
        for one in await context.streams_info():
            await context.delete_stream(str(one.config.name))


@dataclass(slots=True)
class Relayed:
    """A relay at work, and how far it has come."""

    log: PostgresEventLog
    position: Position = Position(0)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    positions: list[Position] = field(default_factory=list)

    def told(self, position: Position) -> None:
        self.position = position
        self.positions.append(position)

    async def caught_up(self) -> None:
        """Return when everything that is in the log is in the stream."""
        head = await self.log.head()
        self.woken.set()

        async def has_come() -> bool:
            return self.position >= head

        await wait_until(has_come, f"position {head} is relayed; it is at {self.position}")


@asynccontextmanager
async def relaying(engine: AsyncEngine, address: NatsAddress, replicas: int = 1) -> AsyncIterator[Relayed]:
    """Relay a log while this lasts."""
    relayed = Relayed(PostgresEventLog(engine))
    connection = Connection(address, "daicho-relay")
    relay = Relay(relayed.log, connection, replicas, relayed.woken, relayed.told, poll_interval=0.2)

    async def alone() -> None:
        """There is no other."""

    task = asyncio.create_task(relay.run(alone))
    try:
        yield relayed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await connection.close()


class RelayedStore(PostgresEventStore):
    """Appends to PostgreSQL, and reads from JetStream: all that was appended, to the letter as PostgreSQL gives it."""

    def __init__(self, engine: AsyncEngine, log: JetStreamEventLog, relayed: Relayed) -> None:
        super().__init__(engine)
        self._relayed_log = log
        self._relayed = relayed

    async def append(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        outcomes = await super().append(commits)
        await self._relayed.caught_up()
        return outcomes

    async def read_stream(self, stream: StreamId, after_version: Version = Version(0)) -> Sequence[RecordedEvent]:
        found = await self._relayed_log.read_stream(stream, after_version)
        assert found == await super().read_stream(stream, after_version)
        return found

    async def read_all(
        self,
        after_position: Position,
        limit: int,
        types: Collection[str] | None = None,
        max_bytes: int | None = None,
    ) -> Sequence[RecordedEvent]:
        found = await self._relayed_log.read_all(after_position, limit, types, max_bytes)
        assert found == await super().read_all(after_position, limit, types, max_bytes)
        return found

    async def touched(self, after: Position, upto: Position) -> frozenset[StreamId]:
        return await self._relayed_log.touched(after, upto)

    async def head(self) -> Position:
        return await self._relayed_log.head()


@asynccontextmanager
async def relayed_store(engine: AsyncEngine, nats: Nats) -> AsyncIterator[RelayedStore]:
    """Give a store whose reads come out of JetStream."""
    async with without_stream(nats) as address, connected(address) as connection, relaying(engine, address) as relayed:
        await wait_until(lambda: _is_made(connection), "the stream is there")
        yield RelayedStore(engine, JetStreamEventLog(Stream(connection), Direct(connection)), relayed)


async def _is_made(connection: Connection) -> bool:
    try:
        await Stream(connection).head()
    except StreamUnavailable:
        return False
    return True
