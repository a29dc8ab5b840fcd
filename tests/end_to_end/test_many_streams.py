"""Many clients of the event stream each receive every event once, in order, in bounded memory (I4, I10).

`--clients 1000 --streamed 10000` is the full size; the default is a sample.
"""

import asyncio
import random
import re
import resource
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import psutil
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from shared.event_log.events import Position
from shared.event_log.json_form import event_json
from shared.event_log.reader import PostgresEventLog
from tests.support.orders import commit, placed
from tests.support.processes import Process, service
from tests.support.sse import SseClient, streaming
from tests.support.waiting import wait_until

pytestmark = pytest.mark.load

_ID = re.compile(rb"\nid: (\d+)\n\n")
_RECONNECTS = 10
"""Every so many-th client leaves in the middle, and comes back with the last id that it has seen."""


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Let this process, and the service that it starts, have as many connections as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass(slots=True)
class Receiver:
    """One client: what it has received so far, as a count and a checksum."""

    expected: list[bytes]
    received: int = 0
    checksum: int = 0
    connected: bool = False

    async def run(self, port: int, leave_after: int | None) -> None:
        """Receive everything that is expected, if need be in two parts."""
        async with streaming(port) as client:
            self.connected = True
            await self._receive(client, len(self.expected) if leave_after is None else leave_after)
        if leave_after is not None:
            async with streaming(port, last_event_id=self.received) as client:
                await self._receive(client, len(self.expected))

    async def _receive(self, client: SseClient, until: int) -> None:
        """Take whole messages; see that their ids are the next ones."""
        rest = b""
        while self.received < until:
            chunk = await client.chunk()
            assert chunk, f"the stream ended after {self.received} events"
            text = rest + chunk
            whole = text.rfind(b"\n\n") + 2 if b"\n\n" in text else 0
            rest = text[whole:]
            ids = _ID.findall(text, 0, whole)
            assert ids == self.expected[self.received : self.received + len(ids)]
            self.received += len(ids)
            self.checksum = zlib.crc32(memoryview(text)[:whole], self.checksum)


@pytest.mark.timeout(900)
async def test_every_client_receives_every_event_in_order(
    request: pytest.FixtureRequest, database: str, engine: AsyncEngine
) -> None:
    clients: int = request.config.getoption("--clients")
    events: int = request.config.getoption("--streamed")
    expected = [b"%d" % position for position in range(1, events + 1)]
    randomness = random.Random(clients)
    async with (
        service("query", database, DAICHO_HEARTBEAT="3600", DAICHO_STREAM_STALL="300") as query,
        asyncio.TaskGroup() as tasks,
    ):
        receivers = [Receiver(expected) for _ in range(clients)]
        for number, receiver in enumerate(receivers):
            leave_after = randomness.randrange(1, events) if number % _RECONNECTS == 0 else None
            tasks.create_task(receiver.run(query.port, leave_after))

        async def connected() -> bool:
            return all(receiver.connected for receiver in receivers)

        await wait_until(connected, "every client is connected", 120)
        measuring = Measuring(query)
        watching = tasks.create_task(measuring.watch())
        tasks.create_task(_append(PostgresEventStore(engine), events))

        async def received() -> bool:
            return all(receiver.received == events for receiver in receivers)

        await wait_until(received, "every client has received every event", 600)
        watching.cancel()
        assert {receiver.checksum for receiver in receivers} == {await _checksum(engine)}
        sys.stdout.write(f"{clients:,} clients × {events:,} events: {measuring.report(clients * events)}\n")
        assert measuring.peak < 2 * measuring.before, "memory grows with what is sent"


class Measuring:
    """Of the service's process: time, CPU and memory since all clients were connected."""

    def __init__(self, process: Process) -> None:
        assert process.process is not None
        self._process = psutil.Process(process.process.pid)
        self._started = time.monotonic()
        self._cpu = self._cpu_seconds()
        self.before = self.peak = self._process.memory_info().rss

    async def watch(self) -> None:
        while True:
            self.peak = max(self.peak, self._process.memory_info().rss)
            await asyncio.sleep(0.05)

    def report(self, deliveries: int) -> str:
        seconds, cpu = time.monotonic() - self._started, self._cpu_seconds() - self._cpu
        return (
            f"{seconds:.1f} s, {deliveries / seconds:,.0f} deliveries/s; the service took {cpu:.1f} s of CPU, "
            f"and {self.peak / 1e6:.0f} MB ({self.before / 1e6:.0f} MB before)"
        )

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


async def _append(store: PostgresEventStore, count: int) -> None:
    for start in range(0, count, 100):
        await store.append([commit(uuid4(), 0, placed()) for _ in range(min(100, count - start))])


async def _checksum(engine: AsyncEngine) -> int:
    """Give the checksum of what every client should have received."""
    checksum = 0
    for event in await PostgresEventLog(engine).read_all(Position(0), 1_000_000):
        message = f"event: {event.event_type}\ndata: {event_json(event)}\nid: {event.position}\n\n"
        checksum = zlib.crc32(message.encode(), checksum)
    return checksum
