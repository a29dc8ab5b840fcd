"""The relay from PostgreSQL to JetStream, beside a publisher that has nothing to do but to publish the same messages."""

import asyncio
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg

from benchmarks import logs, servers
from benchmarks.context import Context
from benchmarks.results import Aim, Result, percentile, ratio, series
from command_service.postgres_store import PostgresEventStore
from daicho.relay import WINDOW_EVENTS, Relay
from shared.database import create_engine
from shared.event_log.events import Position, RecordedEvent
from shared.event_log.listener import EventListener
from shared.event_log.reader import PostgresEventLog
from shared.ids import new_id
from shared.jetstream.connection import Connection
from shared.jetstream.message import encode, headers, subject
from shared.jetstream.stream import Stream
from shared.process import tune_garbage_collector
from tests.support.nats import STREAM, Nats, connected, nats

_EVENTS_A_SECOND = 5_000
_SAMPLES_A_SECOND = 20
_WINDOWS = 2
"""On their way at a time, as the relay has it."""

RELAY, BARE = "relay", "bare publisher"


class _Message(NamedTuple):
    subject: str
    payload: bytes
    headers: dict[str, str]


async def measure(context: Context) -> list[Result]:
    """Empty one log into streams of one and of three servers, in turn with a bare publisher; then look at the lag."""
    url = await servers.fresh_database(context.postgres, "relay")
    count = int(_EVENTS_A_SECOND * context.seconds)
    await logs.orders(url, count)
    tune_garbage_collector()
    with nats(1) as one, nats(3) as three:
        return [await _rates(context, url, count, {1: one, 3: three}), await _lag(context, url, three)]


async def _rates(context: Context, url: str, count: int, clusters: dict[int, Nats]) -> Result:
    engine = create_engine(url, application_name="daicho-bench", pool_size=1)
    log = PostgresEventLog(engine)
    messages = [_message(event) for event in await log.read_all(Position(0), count)]
    legs: dict[str, Callable[[], Awaitable[float]]] = {}
    for replicas, cluster in clusters.items():
        legs[_name(RELAY, replicas)] = lambda cluster=cluster, replicas=replicas: _relayed(
            log, cluster, replicas, count
        )  # type: ignore[misc]
        legs[_name(BARE, replicas)] = lambda cluster=cluster, replicas=replicas: _published(messages, cluster, replicas)  # type: ignore[misc]
    try:
        found = await context.in_turn(legs)
    finally:
        await engine.dispose()
    rates = {name: [count / seconds for seconds in rounds] for name, rounds in found.items()}
    return Result(
        name="relay",
        title="Relay to JetStream",
        settings=f"{count:,} events of the log into an empty stream; windows of {WINDOW_EVENTS:,}, {_WINDOWS} at a time; servers on loopback",
        series=tuple(series(name, "events/s", values) for name, values in rates.items()),
        ratios=(
            ratio("relay / bare publisher, 3 replicas", rates[_name(RELAY, 3)], rates[_name(BARE, 3)], Aim(number=10, bound=0.5)),
            ratio("relay / bare publisher, one server", rates[_name(RELAY, 1)], rates[_name(BARE, 1)]),
        ),
        notes=("Both are one process of Python with nats-py. The bare publisher has its messages ready, and only counts its answers.",),
    )  # fmt: skip


def _name(who: str, replicas: int) -> str:
    return f"{who}, {replicas} replicas" if replicas > 1 else f"{who}, one server"


def _message(event: RecordedEvent) -> _Message:
    return _Message(subject(event.stream), encode(event), headers(event, STREAM))


@asynccontextmanager
async def _stream(cluster: Nats, replicas: int) -> AsyncIterator[Connection]:
    """Give a connection to an empty stream, which is removed in the end."""
    async with connected(cluster.address) as connection:
        await Stream(connection).ensure(replicas)
        yield connection
        await (await connection.context()).delete_stream(STREAM)


async def _relayed(log: PostgresEventLog, cluster: Nats, replicas: int, count: int) -> float:
    """Give the seconds in which the relay empties the log."""
    async with _stream(cluster, replicas) as connection:
        done = asyncio.Event()

        def relayed(position: Position) -> None:
            if position == count:
                done.set()

        started = time.perf_counter()
        async with _relaying(Relay(log, connection, replicas, asyncio.Event(), relayed)):
            await done.wait()
            return time.perf_counter() - started


@asynccontextmanager
async def _relaying(relay: Relay) -> AsyncIterator[None]:
    async def alone() -> None:
        """There is no other."""

    task = asyncio.create_task(relay.run(alone))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _published(messages: Sequence[_Message], cluster: Nats, replicas: int) -> float:
    """Give the seconds in which a bare publisher has its messages taken."""
    async with _stream(cluster, replicas) as connection:
        client = await connection.client()
        started = time.perf_counter()
        on_their_way: deque[asyncio.Event] = deque()
        for start in range(0, len(messages), WINDOW_EVENTS):
            if len(on_their_way) == _WINDOWS:
                await on_their_way.popleft().wait()
            on_their_way.append(await _publish(client, messages[start : start + WINDOW_EVENTS]))
        for taken in on_their_way:
            await taken.wait()
        return time.perf_counter() - started


async def _publish(client: Client, window: Sequence[_Message]) -> asyncio.Event:
    inbox, taken, left = client.new_inbox(), asyncio.Event(), len(window)

    async def answered(_: Msg) -> None:
        nonlocal left
        left -= 1
        if not left:
            taken.set()

    await client.subscribe(inbox, cb=answered)
    for one in window:
        await client.publish(one.subject, one.payload, reply=inbox, headers=one.headers)
    return taken


async def _lag(context: Context, url: str, cluster: Nats) -> Result:
    """Append events one by one, as fast as each is known to be in the stream; give how long that took after each append."""
    engine = create_engine(url, application_name="daicho-bench", pool_size=3)
    count = max(10, int(_SAMPLES_A_SECOND * context.seconds))
    woken, reached = asyncio.Event(), asyncio.Queue[Position]()
    log, store = PostgresEventLog(engine), PostgresEventStore(engine)
    try:
        async with _stream(cluster, 3) as connection:
            listening = asyncio.create_task(EventListener(engine, woken.set).run())
            async with _relaying(Relay(log, connection, 3, woken, reached.put_nowait)):
                head = await log.head()
                while await reached.get() < head:
                    pass
                samples = [[await _sample(store, reached) * 1e3 for _ in range(count)] for _ in range(context.rounds)]
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
    finally:
        await engine.dispose()
    return Result(
        name="relay_lag",
        title="From an append to the stream",
        settings=f"3 replicas; one event at a time, {count} samples a round; until its append's answer is there to until the stream's is",
        series=(
            series("in the stream, median", "ms", [statistics.median(one) for one in samples]),
            series("in the stream, p99", "ms", [percentile(one, 99) for one in samples]),
        ),
    )


async def _sample(store: PostgresEventStore, reached: "asyncio.Queue[Position]") -> float:
    while not reached.empty():
        reached.get_nowait()
    await store.append([logs.placed(new_id())])
    appended = time.perf_counter()
    await reached.get()
    return time.perf_counter() - appended
