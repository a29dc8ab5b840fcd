"""`GET /events/stream`: every event once, in order, from any position on (I4), whoever is slow, leaves or comes back (I10)."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from query_service.event_pages import EventFilters, EventTraits
from query_service.postgres_pages import PostgresEventPages
from shared.event_log.events import EventId, NewEvent, Position, StreamId, Version
from shared.event_log.reader import PostgresEventLog
from shared.orders.events import OrderConfirmed
from tests.support import golden
from tests.support.events import WHEN, a_commit, an_event
from tests.support.http import plain_client
from tests.support.orders import commit, placed
from tests.support.processes import logging_service
from tests.support.proxy import proxied
from tests.support.served import PROTOCOL, Served, served
from tests.support.sse import SseClient, connected, streaming
from tests.support.waiting import wait_until

RANDOMNESS = random.Random(4)


@pytest.fixture
async def query(database: str) -> AsyncIterator[Served]:
    async with served(database) as running:
        yield running


async def append(store: PostgresEventStore, count: int, size: int = 1) -> None:
    """Append so many events of about such a size, which does not compress."""
    for start in range(0, count, 100):
        some = range(start, min(start + 100, count))
        noise = [RANDOMNESS.randbytes(size // 2 + 1).hex() for _ in some]
        await store.append([a_commit(None, 0, an_event(data={"n": n, "noise": noise[n - start]})) for n in some])


async def test_without_a_start_comes_what_is_new(query: Served, store: PostgresEventStore) -> None:
    await append(store, 3)
    async with streaming(query.port) as client:
        assert client.last_id == 3
        await append(store, 2)
        assert await client.positions(2) == [4, 5]


async def test_it_starts_where_it_is_told_and_goes_on(query: Served, store: PostgresEventStore) -> None:
    await append(store, 3)
    async with streaming(query.port, after=0) as first, streaming(query.port, after=2) as last:
        assert await first.positions(3) == [1, 2, 3]
        assert await last.positions(1) == [3]
        await append(store, 2)
        assert await first.positions(2) == [4, 5]
        assert await last.positions(2) == [4, 5]


async def test_a_browser_that_reconnects_with_the_same_url_goes_on_where_it_was(
    query: Served, store: PostgresEventStore
) -> None:
    await append(store, 5)
    async with streaming(query.port, after=1, last_event_id=3) as client:
        assert await client.positions(2) == [4, 5]


async def test_a_start_beyond_the_log_is_waited_for(query: Served, store: PostgresEventStore) -> None:
    await append(store, 3)
    async with streaming(query.port, after=5) as client:
        await append(store, 3)
        assert await client.positions(1) == [6]


@pytest.mark.parametrize("schema", ["current", "stored"])
@pytest.mark.parametrize("late", [False, True])
async def test_a_message_is_the_event_as_the_log_shows_it(
    query: Served, store: PostgresEventStore, schema: str, *, late: bool
) -> None:
    """From the log and from the ring; with an old schema version and with text that must not break the lines."""
    order_id = uuid4()
    old = NewEvent(EventId(uuid4()), "OrderPlaced", 1, json.dumps(golden.load_event("OrderPlaced", 1).data), "{}", WHEN)
    odd = an_event(data={"text": "line\r\n\n\u2028\u0085台帳", "big": 12345678901234567890})
    commits = [Commit(StreamId("order", order_id), Version(0), (old,)), a_commit(None, 0, odd)]
    if not late:
        await store.append(commits)
    async with streaming(query.port, after=0, schema=schema) as client:
        if late:
            await store.append(commits)
        messages = [message for message in [await client.next(), await client.next()] if message is not None]
    async with plain_client() as http:
        items = (await http.get(f"{query.url}/events", params={"schema": schema})).json()["items"]
    assert [message.event for message in messages] == items
    assert [(message.id, message.fields["event"]) for message in messages] == [(1, "OrderPlaced"), (2, "Happened")]
    assert items[0]["schema_version"] == (2 if schema == "current" else 1)


async def test_the_answer_is_an_event_stream_that_nobody_keeps(query: Served) -> None:
    async with streaming(query.port) as client:
        assert client.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert client.headers["cache-control"] == "no-cache"
        assert client.headers["x-accel-buffering"] == "no"
        assert "x-correlation-id" in client.headers


async def test_events_are_told_apart_by_type_aggregate_and_story(query: Served, store: PostgresEventStore) -> None:
    one, two = uuid4(), uuid4()
    wanted: list[dict[str, Any]] = [
        {"event_type": "OrderConfirmed"},
        {"event_type": ["OrderPlaced", "OrderConfirmed"], "aggregate_id": str(two)},
        {"correlation_id": "test", "aggregate_id": str(one)},
    ]
    async with AsyncExitStack() as stack:
        early = [await stack.enter_async_context(streaming(query.port, **filters)) for filters in wanted]
        await store.append([commit(one, 0, placed()), commit(two, 0, placed()), a_commit()])
        await store.append([commit(two, 1, OrderConfirmed()), commit(one, 1, OrderConfirmed())])
        late = [await stack.enter_async_context(streaming(query.port, after=0, **filters)) for filters in wanted]
        for clients in (early, late):
            assert [await client.positions(2) for client in clients] == [[4, 5], [2, 4], [1, 5]]


async def test_memory_and_log_agree_on_what_a_filter_wants(engine: AsyncEngine, store: PostgresEventStore) -> None:
    """Whatever the type of the stream, the story and its form; so that a client may change from one to the other."""
    ids = [uuid4() for _ in range(3)]
    streams = [StreamId(kind, one) for kind in ("order", "thing") for one in ids]
    stories: list[object] = ["a", "b", 7, None, True, ["a"]]
    versions = dict.fromkeys(streams, 0)
    for _ in range(300):
        stream = RANDOMNESS.choice(streams)
        metadata = json.dumps({"correlation_id": RANDOMNESS.choice(stories)} if RANDOMNESS.random() < 0.9 else {})
        name = RANDOMNESS.choice(["A", "B", "C"])
        event = NewEvent(EventId(uuid4()), name, 1, "{}", metadata, WHEN)
        await store.append([Commit(stream, Version(versions[stream]), (event,))])
        versions[stream] += 1
    pages = PostgresEventPages(engine, ["order"])
    events = await PostgresEventLog(engine).read_all(Position(0), 1000)
    for event_types in (None, ["A"], ["A", "C", "D"], ["D"]):
        for aggregate_id in (None, ids[0], uuid4()):
            for story in (None, "a", "7", "true", "x", '["a"]'):
                filters = EventFilters(event_types, aggregate_id, story)
                matches = pages.matching(filters) or (lambda _: True)
                page = await pages.read(Position(0), 1000, filters)
                assert page.events == [event for event in events if matches(EventTraits.of(event))]


async def test_silence_is_broken_by_heartbeats_that_tell_how_far_the_log_was_searched(
    database: str, store: PostgresEventStore
) -> None:
    await append(store, 3)
    async with served(database, heartbeat=0.05) as query, streaming(query.port, event_type="Never") as client:
        for head in (3, 5):
            message = await client.next()
            while message is not None and message.id < head:
                message = await client.next()
            assert message is not None
            assert message.fields == {"comment": "heartbeat", "id": str(head)}
            await append(store, 2)


async def test_a_search_that_found_nothing_is_not_done_again(database: str, store: PostgresEventStore) -> None:
    """A client that reconnects begins at the end of what was searched for it."""
    await append(store, 50)
    async with (
        served(database, heartbeat=3600) as query,
        streaming(query.port, after=0, event_type="Never") as client,
    ):
        message = await client.next()
        assert message is not None
        assert not message.is_event
        assert message.id == 50


@pytest.mark.parametrize("ring_bytes", [0, 5_000, 50_000])
async def test_between_log_and_memory_nothing_is_lost_or_repeated(
    database: str, store: PostgresEventStore, ring_bytes: int
) -> None:
    """Clients leave and come back with their last id while events arrive faster than the ring holds them."""
    total = 600
    randomness = random.Random(ring_bytes)
    async with served(database, stream_ring_bytes=ring_bytes) as query:

        async def client(start: int) -> None:
            expected = start + 1
            while expected <= total:
                async with streaming(query.port, after=start, last_event_id=expected - 1) as connection:
                    count = min(randomness.randint(1, 200), total - expected + 1)
                    assert await connection.positions(count) == list(range(expected, expected + count))
                    expected += count
                    assert connection.last_id == expected - 1

        async def write() -> None:
            while (head := await store.head()) < total:
                await append(store, min(randomness.randint(1, 60), total - head), size=randomness.randint(1, 500))

        await asyncio.gather(write(), *(client(randomness.randrange(total // 2)) for _ in range(10)))
        await query.wait_for_clients(0)


@pytest.mark.parametrize("http", [PROTOCOL, "httptools", "h11"])
async def test_a_client_that_takes_nothing_is_dropped_and_can_go_on(
    database: str, store: PostgresEventStore, http: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are served meanwhile, and its connection is closed, not only forgotten."""
    events = 400
    # A machine that stands still may take a projector's batch its transaction: that is none of the stream's errors.
    async with served(database, http=http, stream_stall=0.3, heartbeat=0.1, lease_seconds=60) as query:
        async with streaming(query.port) as quick, streaming(query.port, receive_buffer=4096) as slow:
            positions, _ = await asyncio.gather(quick.positions(events), append(store, events, size=50_000))
            assert positions == list(range(1, events + 1))
            await query.wait_for_clients(1)
            await query.wait_for_connections(1)
            seen = await read_to_end(slow)
            assert 0 < len(seen) < events
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
        async with streaming(query.port, last_event_id=slow.last_id) as again:
            seen += await again.positions(events - len(seen))
    assert seen == list(range(1, events + 1))


async def read_to_end(client: SseClient) -> list[int]:
    """Give the positions of the events that came whole."""
    seen = []
    while (message := await client.next()) is not None:
        seen += [message.id] if message.is_event else []
    return seen


async def test_there_are_no_more_clients_than_allowed(database: str, store: PostgresEventStore) -> None:
    async with served(database, max_streams=2) as query:
        async with streaming(query.port), streaming(query.port), connected(query.port) as third:
            problem = await third.problem()
            assert (third.status, problem["type"]) == (503, "urn:daicho:problem:overloaded")
            assert third.headers["retry-after"]
        await query.wait_for_clients(0)
        async with streaming(query.port) as client:
            await append(store, 1)
            assert await client.positions(1) == [1]


async def test_who_leaves_frees_everything_at_once(query: Served, store: PostgresEventStore) -> None:
    """In the middle of catching up, while waiting, and while being sent what it does not take."""
    await append(store, 200, size=50_000)
    tasks = len(asyncio.all_tasks())
    async with AsyncExitStack() as stack:
        for start in ({"after": 0, "receive_buffer": 4096}, {"after": 100}, {}):
            for _ in range(5):
                await stack.enter_async_context(streaming(query.port, **start))
        await query.wait_for_clients(15)
        await wait_until(lambda: holds(query, running=True), "the ring has begun")
    await query.wait_for_clients(0)
    await wait_until(lambda: holds(query, running=False), "the ring holds nothing")

    async def ended() -> bool:
        return len(asyncio.all_tasks()) <= tasks

    await wait_until(ended, "no task is left")


async def holds(query: Served, *, running: bool) -> bool:
    ring = query.streams.tail.ring
    return (ring.end is not None) == running and (running or ring.size == 0)


async def test_streams_outlive_a_database_that_goes_away(database: str, store: PostgresEventStore) -> None:
    """A client that is fed from the ring, one that catches up, and one that comes while there is none."""
    await append(store, 10)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(proxied(database))
        query = await stack.enter_async_context(served(proxy.url, heartbeat=0.1))
        async with streaming(query.port) as fed, streaming(query.port, after=0) as behind:
            assert await behind.positions(5) == [1, 2, 3, 4, 5]
            proxy.cut(stay_away=True)
            await append(store, 10)
            async with streaming(query.port, last_event_id=2) as new, connected(query.port) as refused:
                assert refused.status == 503
                assert (await refused.problem())["type"] == "urn:daicho:problem:unavailable"
                for client in (fed, new):
                    message = await client.next()
                    assert message is not None
                    assert message.fields["comment"] == "heartbeat"
                proxy.heal()
                assert await fed.positions(10) == list(range(11, 21))
                assert await behind.positions(15) == list(range(6, 21))
                assert await new.positions(18) == list(range(3, 21))
                await append(store, 1)
                assert await new.positions(1) == [21]


async def test_without_listen_it_polls(database: str, store: PostgresEventStore) -> None:
    unreachable = "postgresql://nobody@127.0.0.1:1/none"
    async with served(database, listen_database_url=unreachable) as query, streaming(query.port) as client:
        await append(store, 1)
        assert await client.positions(1) == [1]


async def test_it_does_not_wait_for_a_poll(database: str, store: PostgresEventStore) -> None:
    async with served(database, poll_interval=60.0) as query, streaming(query.port) as client:
        for number in range(1, 6):
            await append(store, 1)
            assert await client.positions(1) == [number]


@pytest.mark.parametrize(
    ("header", "parameters", "pointer"),
    [
        ("-1", {}, "Last-Event-ID"), ("x", {}, "Last-Event-ID"), (str(2**63), {}, "Last-Event-ID"), ("", {}, "Last-Event-ID"),
        ("1.5", {}, "Last-Event-ID"), ("9" * 5000, {}, "Last-Event-ID"), ("x", {"after": 1}, "Last-Event-ID"),
        (None, {"after": -1}, "after"), (None, {"after": 2**63}, "after"), (None, {"after": "x"}, "after"),
        (None, {"limit": 10}, "limit"), (None, {"since": 1}, "since"), (None, {"schema": "old"}, "schema"),
        (None, {"event_type": "a b"}, "event_type"), (None, {"event_type": ["x"] * 51}, "event_type"),
        (None, {"aggregate_id": "x"}, "aggregate_id"), (None, {"correlation_id": "a b"}, "correlation_id"),
    ],
)  # fmt: skip
async def test_bad_input_is_named(query: Served, header: str | None, parameters: dict[str, Any], pointer: str) -> None:
    async with connected(query.port, last_event_id=header, **parameters) as client:
        problem = await client.problem()
        assert (client.status, problem["type"]) == (422, "urn:daicho:problem:validation-failed")
        assert problem["errors"][0]["pointer"].split(".")[0].lower() == pointer.lower()
    await query.wait_for_clients(0)


async def test_the_openapi_document_describes_the_stream(query: Served) -> None:
    async with plain_client() as http:
        document = (await http.get(f"{query.url}/openapi.json")).json()
    operation = document["paths"]["/events/stream"]["get"]
    content = operation["responses"]["200"]["content"]
    assert list(content) == ["text/event-stream"]
    data = content["text/event-stream"]["schema"]["properties"]["data"]
    assert data["contentSchema"] == {"$ref": "#/components/schemas/EventForm"}
    assert "EventForm" in document["components"]["schemas"]
    assert [sorted(one["value"]) for one in content["text/event-stream"]["examples"].values()] == [
        ["data", "event", "id"],
        ["id"],
    ]
    names = {parameter["name"].lower(): parameter["in"] for parameter in operation["parameters"]}
    assert names == {
        "schema": "query", "event_type": "query", "aggregate_id": "query", "correlation_id": "query", "after": "query",
        "last-event-id": "header", "x-correlation-id": "header",
    }  # fmt: skip


async def test_streams_end_when_the_service_is_told_to_stop(
    database: str, store: PostgresEventStore, tmp_path: Path
) -> None:
    """Whether they wait or are stuck, and before the time is over after which uvicorn would end them."""
    output, settings = tmp_path / "output", {"DAICHO_STREAM_STALL": "3600"}
    async with logging_service("query", database, output, settings) as process, AsyncExitStack() as stack:
        waiting = await stack.enter_async_context(streaming(process.port))
        stuck = await stack.enter_async_context(streaming(process.port, receive_buffer=4096))
        await asyncio.gather(waiting.positions(400), append(store, 400, size=50_000))
        async with asyncio.timeout(60):
            await process.stop()
        assert await waiting.next() is None
        assert waiting.ended
        assert len(await read_to_end(stuck)) < 400
    said = output.read_text()
    assert "Traceback" not in said
    assert "graceful shutdown exceeded" not in said
