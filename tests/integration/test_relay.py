"""The relay (I2, I4): each event of the log is in the stream once, at its position, whatever happens on the way."""

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from nats.js.api import StorageType, StreamConfig
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from daicho.relay import WINDOW_EVENTS, Relay
from daicho.relay_command import _Turn
from shared.event_log.events import Position, StreamId
from shared.event_log.reader import PostgresEventLog
from shared.jetstream import message
from shared.jetstream.address import NatsAddress
from shared.jetstream.connection import Connection
from shared.jetstream.direct import Direct
from shared.jetstream.errors import StreamUnavailable, StreamUnfit
from shared.jetstream.log import JetStreamEventLog
from shared.jetstream.stream import Stream
from tests.support.databases import Server, cloned
from tests.support.databases import connected as database_connected
from tests.support.events import a_commit, a_stream, an_event
from tests.support.nats import STREAM, Nats, connected, nats, relaying, without_stream
from tests.support.orders import append_orders
from tests.support.processes import daicho


@pytest.fixture
async def address(nats_server: Nats) -> AsyncIterator[NatsAddress]:
    async with without_stream(nats_server) as address:
        yield address


@pytest.fixture
async def connection(address: NatsAddress) -> AsyncIterator[Connection]:
    async with connected(address) as connection:
        yield connection


async def test_each_event_is_a_message_at_its_position(
    engine: AsyncEngine, store: PostgresEventStore, connection: Connection
) -> None:
    stream = a_stream()
    event = an_event(data={"name": 'Aïko ", "data": 台帳', "metadata": {"deep": 1.10}, "list": [1e3, None]})
    await store.append([a_commit(), a_commit(stream, 0, event)])
    async with relaying(engine, connection.address) as relayed:
        await relayed.caught_up()
    context = await connection.context()
    last = await context.get_msg(STREAM, seq=2)
    assert last.subject == f"daicho.events.thing.{stream.aggregate_id}"
    assert last.headers == {
        "Nats-Msg-Id": str(event.event_id), "Nats-Expected-Stream": STREAM, "Nats-Expected-Last-Sequence": "1",
        "Daicho-Position": "2", "Daicho-Event-Type": "Happened", "Daicho-Schema-Version": "1",
    }  # fmt: skip
    assert last.data is not None
    assert json.loads(last.data)["data"] == json.loads(event.data)
    assert [message.decode(last.data)] == await store.read_all(Position(1), 1)
    assert (await context.stream_info(STREAM)).state.messages == 2


async def test_nothing_is_doubled_left_out_or_out_of_order_whoever_relays(
    engine: AsyncEngine, store: PostgresEventStore, connection: Connection
) -> None:
    """Three relays that know nothing of one another, of which one after the other is cut off in mid-window."""
    total = await append_orders(store, 1500)
    assert total > 3 * WINDOW_EVENTS
    for _ in range(4):
        async with asyncio.TaskGroup() as group:
            for seconds in (0.05, 0.1, 0.15):
                group.create_task(_relay_for(engine, connection.address, seconds))
    async with relaying(engine, connection.address) as relayed:
        await relayed.caught_up()
    await _assert_relayed(connection, store, total)


async def _relay_for(engine: AsyncEngine, address: NatsAddress, seconds: float) -> None:
    async with relaying(engine, address):
        await asyncio.sleep(seconds)


async def test_what_is_in_the_stream_already_is_not_published_again(
    engine: AsyncEngine, store: PostgresEventStore, connection: Connection
) -> None:
    """As after a crash before the answers came: a relay that thinks the stream is empty is told the truth."""
    await append_orders(store, 20)
    async with relaying(engine, connection.address) as relayed:
        await relayed.caught_up()
    total = await append_orders(store, 20, seed=1) + relayed.position
    log = PostgresEventLog(engine)
    relay = Relay(log, connection, 1, asyncio.Event(), relayed.told)
    with pytest.raises(StreamUnavailable, match="refused an event: wrong last sequence"):
        await relay._follow(Position(3))
    await connection.close()
    async with relaying(engine, connection.address) as relayed:
        await relayed.caught_up()
    await _assert_relayed(connection, store, total)


async def test_the_stream_of_another_log_is_refused(
    postgres: Server, template: str, engine: AsyncEngine, store: PostgresEventStore, connection: Connection
) -> None:
    await store.append([a_commit(), a_commit()])
    async with relaying(engine, connection.address) as relayed:
        await relayed.caught_up()
    async with cloned(postgres, template) as url, database_connected(url) as another:
        for _ in range(3):
            with pytest.raises(StreamUnfit, match="is of another log"):
                await Relay(PostgresEventLog(another), connection, 1, asyncio.Event(), relayed.told).resume()
            await PostgresEventStore(another).append([a_commit(), a_commit()])
    assert await Stream(connection).head() == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"max_age": 60 * 10**9}, "forgets events: it must have no limit of age"),
        ({"max_msgs": 10}, "forgets events: it must have no limit of age"),
        ({"deny_delete": False}, "lets events be removed"),
        ({"storage": StorageType.MEMORY}, "does not keep"),
        ({"allow_direct": False}, "cannot be read by position"),
        ({"subjects": ["daicho.events.order.*"]}, "has other subjects"),
        ({"discard": "old"}, "forgets events when it is full"),
    ],
)
async def test_a_stream_that_is_not_as_it_must_be_is_refused(
    engine: AsyncEngine, connection: Connection, changes: dict[str, object], told: str
) -> None:
    config = {
        "name": STREAM, "subjects": ["daicho.events.>"], "storage": StorageType.FILE, "deny_delete": True,
        "deny_purge": True, "allow_direct": True, "discard": "new", **changes,
    }  # fmt: skip
    context = await connection.context()
    await context.add_stream(StreamConfig.from_response(config))
    relay = Relay(PostgresEventLog(engine), connection, 1, asyncio.Event(), lambda _: None)
    with pytest.raises(StreamUnfit, match=told):
        await relay.resume()


async def test_a_stream_of_messages_that_are_no_events_is_refused(connection: Connection) -> None:
    await Stream(connection).ensure(1)
    await (await connection.context()).publish("daicho.events.thing.x", b'{"metadata": {}}')
    log = JetStreamEventLog(Stream(connection), Direct(connection))
    with pytest.raises(StreamUnfit, match="no relay of Daicho wrote"):
        await log.read_all(Position(0), 1)


async def test_one_server_cannot_keep_three_replicas(connection: Connection) -> None:
    with pytest.raises(StreamUnfit, match="DAICHO_NATS_REPLICAS must be 1"):
        await Stream(connection).ensure(3)


def test_a_type_that_is_no_part_of_a_subject_is_refused() -> None:
    with pytest.raises(StreamUnfit, match="cannot be part of a subject"):
        message.subject(StreamId("a.b", uuid4()))


async def test_events_larger_than_the_servers_take_are_named(engine: AsyncEngine, store: PostgresEventStore) -> None:
    await store.append([a_commit(None, 0, an_event(data={"large": "x" * 2_000_000}))])
    with nats() as alone:
        async with connected(alone.address) as connection:
            relay = Relay(PostgresEventLog(engine), connection, 1, asyncio.Event(), lambda _: None)
            with pytest.raises(StreamUnfit, match="max_payload"):
                await relay._follow(await relay.resume())


async def test_a_password_is_used_and_told_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with nats(1, "--user", "relay", "--pass", "s3cret") as guarded:
        url = guarded.url.replace("//", "//relay:s3cret@")
        async with connected(NatsAddress([url], STREAM)) as connection:
            assert await Stream(connection).ensure(1) == 0
        wrong = Connection(NatsAddress([url.replace("s3cret", "wr0ng")], STREAM), "daicho-test")
        with pytest.raises(StreamUnavailable) as refused:
            await Stream(wrong).head()
    for told in (caplog.text, repr(refused.value), repr(wrong.address)):
        assert "s3cret" not in told
        assert "wr0ng" not in told


async def test_what_is_known_to_be_there_is_waited_for(
    engine: AsyncEngine, store: PostgresEventStore, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that is behind looks like the end of the stream."""
    monkeypatch.setattr("shared.jetstream.log._CATCH_UP_SECONDS", 10.0)
    log = JetStreamEventLog(Stream(connection), Direct(connection))
    await store.append([a_commit()])
    async with relaying(engine, connection.address) as relayed:
        await relayed.caught_up()
        assert await log.read_all(Position(1), 10) == []
        log.appended(Position(2))
        reading = asyncio.create_task(log.read_all(Position(1), 10))
        await store.append([a_commit()])
        relayed.woken.set()
        assert [event.position for event in await reading] == [2]
    log.appended(Position(9))
    monkeypatch.setattr("shared.jetstream.log._CATCH_UP_SECONDS", 0.1)
    with pytest.raises(StreamUnavailable, match="is behind"):
        await log.read_all(Position(2), 1)


async def test_one_relay_works_at_a_time(database: str) -> None:
    async with database_connected(database, 1) as one, database_connected(database, 1) as another:
        first, second = _Turn(one), _Turn(another)
        await first.wait()
        waiting = asyncio.create_task(second.wait())
        _, pending = await asyncio.wait([waiting], timeout=0.5)
        assert pending
        await first.give_up()
        async with asyncio.timeout(30):
            await waiting
        await second.give_up()


async def test_the_command_needs_to_know_where_to(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await daicho(database, "relay") == (
        1, "daicho: set DAICHO_RELAY_TO to the NATS servers to publish to, such as nats://127.0.0.1:4222\n",
    )  # fmt: skip
    monkeypatch.setattr("shared.jetstream.address.find_spec", lambda _: None)
    assert await daicho(database, "relay", DAICHO_RELAY_TO="nats://127.0.0.1:1") == (
        1, "daicho: NATS needs nats-py, which is not installed: pip install 'daicho[nats]'\n",
    )  # fmt: skip


async def test_the_command_names_what_is_no_url(database: str) -> None:
    for url in ("localhost:4222", "http://x:1", "nats://", "nats://a:1,tls://b:2", ","):
        code, output = await daicho(database, "relay", DAICHO_RELAY_TO=url)
        assert (code, output[:18]) == (2, "DAICHO_RELAY_TO: m"), url


async def _assert_relayed(connection: Connection, store: PostgresEventStore, total: int) -> None:
    """Every event of the log is in the stream, once, at its position."""
    state = (await (await connection.context()).stream_info(STREAM)).state
    assert (state.first_seq, state.last_seq, state.messages) == (1, total, total)
    found = await JetStreamEventLog(Stream(connection), Direct(connection)).read_all(Position(0), total + 1)
    assert found == await store.read_all(Position(0), total + 1)
