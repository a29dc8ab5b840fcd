"""Projections divided into partitions: leases and their fences, what is read, what is parked, another number of them (I5, I9)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from command_service.postgres_store import PostgresEventStore
from query_service.batches import Applied, Batches
from query_service.leases import Leases
from query_service.orders.aggregate import ORDERS
from query_service.partitions import Partition, hash_of
from query_service.projection import DecodedEvent
from query_service.rebuild.rebuilder import Rebuilder
from shared.event_log.reader import PostgresEventLog
from shared.orders.events import EVENTS, OrderCancelled, OrderConfirmed, OrderShipped
from tests.support.apps import query_service
from tests.support.databases import connected
from tests.support.http import get
from tests.support.orders import append_orders, commit, placed
from tests.support.partitioned import Replica, divide, expire
from tests.support.rebuilding import rebuilding
from tests.support.replay import assert_read_models_equal_a_replay
from tests.support.waiting import wait_until

OF = 4


@pytest.fixture
async def read_engine(database: str) -> AsyncIterator[AsyncEngine]:
    async with connected(database, 8, autocommit=False) as engine:
        yield engine


@pytest.fixture
async def replicas(engine: AsyncEngine, read_engine: AsyncEngine) -> AsyncIterator[Sequence[Replica]]:
    """Two, on projections divided into four, one after the other told of the other."""
    await divide(read_engine, OF)
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(read_engine.connect()) for _ in range(4)]
        yield [Replica(engine, connections[2 * n : 2 * n + 2]) for n in range(2)]


async def column(engine: AsyncEngine, query: str) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(text(query))).scalars())


async def reached(engine: AsyncEngine) -> list[int]:
    query = "SELECT position FROM read_model.checkpoints WHERE projection = 'order_summaries' ORDER BY partition"
    return await column(engine, query)


async def test_postgresql_tells_the_partition_of_an_order_as_we_do(engine: AsyncEngine) -> None:
    """The statement is the one in docs/how-to/scale-projections.md."""
    ids = [uuid4() for _ in range(100)]
    query = (
        "SELECT ('x' || encode(substring(sha256(uuid_send(aggregate_id)) FOR 4), 'hex'))::bit(32)::bigint"
        " FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS of_order (aggregate_id, number) ORDER BY number"
    )
    async with engine.connect() as connection:
        found = (await connection.execute(text(query.replace("::", r"\:\:")), {"ids": ids})).scalars()
        assert list(found) == [hash_of(one) for one in ids]


async def test_two_replicas_have_half_each_and_read_models_equal_a_replay(
    engine: AsyncEngine, store: PostgresEventStore, replicas: Sequence[Replica]
) -> None:
    one, other = replicas
    await append_orders(store, 60)
    await one.look()
    assert set(one.leases.held) == {Partition(OF, number) for number in range(OF)}
    await other.look()
    assert not other.leases.held, "nothing is free yet"
    for each in (one, other):
        await each.look()
        assert len(each.leases.held) == OF // 2
    await asyncio.gather(*(each.drain() for each in replicas))
    assert set(await reached(engine)) == {await store.head()}
    await assert_read_models_equal_a_replay(engine)


async def test_who_has_lost_its_leases_commits_nothing(
    engine: AsyncEngine, store: PostgresEventStore, replicas: Sequence[Replica]
) -> None:
    """Fencing: it has seen nothing of the loss, as when it stood still meanwhile."""
    former, heir = replicas
    await append_orders(store, 20)
    await former.look()
    await former.apply()
    before = await reached(engine)
    await expire(engine, former)
    await heir.look()
    assert len(former.leases.held) == len(heir.leases.held) == OF
    assert all(heir.leases.held[one] > fence for one, fence in former.leases.held.items())
    assert await former.apply() == Applied(0, {}, {})
    assert await reached(engine) == before
    await heir.drain()
    assert await former.apply() == Applied(0, {}, {})
    await assert_read_models_equal_a_replay(engine)


class _Gate:
    """A projection that waits in the middle of a batch."""

    name = "gate"
    version = 1
    event_types = frozenset(EVENTS.classes)
    tables = ()

    def __init__(self) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    async def apply(self, connection: AsyncConnection, batch: Sequence[DecodedEvent]) -> None:
        self.reached.set()
        await self.opened.wait()

    def loader(self) -> None:
        return None


async def test_nobody_takes_a_lease_in_the_middle_of_a_batch(
    engine: AsyncEngine, read_engine: AsyncEngine, store: PostgresEventStore
) -> None:
    """Of which nobody can know whether it will commit."""
    gate = _Gate()
    projections = (*ORDERS.projections, gate)
    await divide(read_engine, OF, projections)
    await append_orders(store, 20)
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(read_engine.connect()) for _ in range(4)]
        former, heir = (Replica(engine, connections[2 * n : 2 * n + 2], projections) for n in range(2))
        await former.look()
        applying = asyncio.create_task(former.apply())
        await gate.reached.wait()
        await expire(engine, former)
        assert not await heir.look(), "there are leases that it could not take yet"
        assert not heir.leases.held
        gate.opened.set()
        assert (await applying).events
        assert await heir.look()
        assert len(heir.leases.held) == OF
        assert await former.apply() == Applied(0, {}, {})
        await heir.drain()
    await assert_read_models_equal_a_replay(engine)


async def is_waiting(engine: AsyncEngine) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool((await column(engine, query))[0])


@pytest.mark.parametrize("why", ["nothing", "positions", "poison"])
async def test_batches_of_two_replicas_go_on_at_once_unless_they_might_deadlock(
    engine: AsyncEngine, read_engine: AsyncEngine, store: PostgresEventStore, why: str
) -> None:
    """A batch from several positions, or one that isolates, adds to sums more than once: it waits until it is alone."""
    gate = _Gate()
    projections = (*ORDERS.projections, gate)
    await divide(read_engine, OF, projections)
    if why == "positions":
        async with read_engine.begin() as connection:
            await connection.execute(text("UPDATE read_model.checkpoints SET position = partition % 2"))
    await append_orders(store, 20)
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(read_engine.connect()) for _ in range(4)]
        one, other = (
            Replica(engine, connections[2 * n : 2 * n + 2], of) for n, of in ((0, projections), (1, ORDERS.projections))
        )
        for each in (one, other, one, other):
            await each.look()
        applying = asyncio.create_task(one.apply())
        await gate.reached.wait()
        beside = asyncio.create_task(other.apply(isolating=why == "poison"))

        async def is_decided() -> bool:
            return beside.done() or await is_waiting(engine)

        await wait_until(is_decided, "the other has applied its batch, or waits")
        assert beside.done() == (why == "nothing")
        gate.opened.set()
        assert (await applying).events
        assert (await beside).events


async def test_sums_are_added_to_in_the_order_of_their_keys(
    engine: AsyncEngine, read_engine: AsyncEngine, store: PostgresEventStore, replicas: Sequence[Replica]
) -> None:
    """So those who apply batches at once do not deadlock: who waits for one row has none of those behind it."""
    one, _ = replicas
    await one.look()
    for _ in range(2):
        await store.append(
            [commit(uuid4(), 0, placed(), OrderConfirmed(), OrderShipped(carrier=None, tracking_number=None))]
        )
        await store.append([commit(uuid4(), 0, placed(), OrderCancelled(reason="late"))])
    await one.apply()
    row = "SELECT FROM read_model.order_totals WHERE status = :status FOR UPDATE"
    async with read_engine.connect() as holder:
        await holder.execute(text(row), {"status": "cancelled"})
        applying = asyncio.create_task(one.apply())
        await wait_until(lambda: is_waiting(engine), "the batch waits for the row of cancelled orders")
        async with engine.connect() as connection:
            await connection.execute(text(f"{row} NOWAIT"), {"status": "shipped"})
    assert (await applying).events
    await assert_read_models_equal_a_replay(engine)


async def test_who_stands_aside_leaves_its_leases_to_others(replicas: Sequence[Replica]) -> None:
    one, other = replicas
    await one.look()
    with one.leases.standing_aside():
        await one.look()
        assert not one.leases.held
        await other.look()
        assert len(other.leases.held) == OF
    await one.look()
    await other.look()
    await one.look()
    assert len(one.leases.held) == len(other.leases.held) == OF // 2


async def test_who_ends_gives_its_leases_up(engine: AsyncEngine, read_engine: AsyncEngine) -> None:
    await divide(read_engine, OF)
    async with connected(engine.url.render_as_string(hide_password=False), 1, autocommit=False) as lease_engine:
        leases = Leases(lease_engine, uuid4(), Batches(PostgresEventLog(engine), EVENTS, [], 1).is_superseded, 600)
        running = asyncio.create_task(leases.run())

        async def holds_all() -> bool:
            return len(leases.held) == OF

        await wait_until(holds_all, "it has every lease")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert not leases.held
        assert await column(engine, "SELECT holder FROM read_model.leases") == [None] * OF
        assert await column(engine, "SELECT count(*) FROM read_model.replicas") == [0]


async def test_a_replica_whose_session_is_gone_is_followed_at_once(
    engine: AsyncEngine, read_engine: AsyncEngine, replicas: Sequence[Replica]
) -> None:
    """As that of a process that was killed is; its leases would last for minutes here."""
    _, heir = replicas
    async with read_engine.connect() as session:
        gone = Replica(engine, (session, session))
        await gone.look()
        await heir.look()
        assert not heir.leases.held
        await session.invalidate()

    async def has_followed() -> bool:
        await heir.look()
        return len(heir.leases.held) == OF

    await wait_until(has_followed, "its leases are taken")


async def test_partitions_that_are_behind_catch_up_beside_others(
    engine: AsyncEngine, store: PostgresEventStore, replicas: Sequence[Replica]
) -> None:
    """Those of a replica that was gone for long are at other positions than the heir's own."""
    one, other = replicas
    for each in (one, other, one, other):
        await each.look()
    await append_orders(store, 60)
    await one.drain()
    positions = await reached(engine)
    assert len(set(positions)) == 2, positions
    await expire(engine, other)
    await one.look()
    assert len(one.leases.held) == OF
    await append_orders(store, 20, seed=1)
    await one.drain()
    await assert_read_models_equal_a_replay(engine)


async def test_an_answer_is_of_the_position_that_every_partition_has_reached(
    database: str, engine: AsyncEngine, store: PostgresEventStore, replicas: Sequence[Replica]
) -> None:
    """I9: half of the partitions are projected by the service, the others when told."""
    slow, _ = replicas
    await slow.look()
    async with query_service(database) as http:

        async def holds_half() -> bool:
            await slow.look()
            return await held(http) == OF // 2

        await wait_until(holds_half, "the service has its half")
        await append_orders(store, 30)
        head = await store.head()

        async def is_half_done() -> bool:
            return sorted(await reached(engine)) == [0, 0, head, head]

        await wait_until(is_half_done, "the service's half is projected")
        (status, *_) = (await http.get("/projections")).json()
        assert (status["position"], status["lag_events"]) == (0, head)
        assert sorted(one["position"] for one in status["partitions"]) == [0, 0, head, head]
        assert sum(one["holder"] == str(slow.id) for one in status["partitions"]) == OF // 2
        late = await http.get("/statistics", headers={"Event-Position": str(head), "Prefer": "wait=0"})
        assert late.status_code == 503
        assert late.json()["position"] == 0
        assert (await http.get("/statistics")).headers["Event-Position"] == "0"
        waiting = asyncio.create_task(get(http, "/statistics", head))
        assert not (await asyncio.wait([waiting], timeout=0.3))[0], "it waits for every partition"
        await slow.drain()
        found = await waiting
        assert found.json()["total_count"] == 30
        assert int(found.headers["Event-Position"]) == head
    await assert_read_models_equal_a_replay(engine)


async def test_nobody_projects_while_a_rebuild_brings_generations_together(
    database: str,
    engine: AsyncEngine,
    store: PostgresEventStore,
    replicas: Sequence[Replica],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else one is ahead of the other again before they are compared, their views made, or swapped."""
    one, _ = replicas
    await append_orders(store, 30)
    await one.look()
    await one.drain()
    together, deeds = Rebuilder._bring_together, []

    async def bring_together(*arguments: Any) -> None:
        deeds.append(asyncio.create_task(one.apply()))
        await wait_until(lambda: is_waiting(engine), "a replica waits with its batch")
        await together(*arguments)

    monkeypatch.setattr(Rebuilder, "_bring_together", bring_together)
    async with rebuilding(database) as rebuilds:
        await rebuilds.request("order_items")
        assert await rebuilds.rebuilder().rebuild()
    await asyncio.gather(*deeds)
    assert len(deeds) == 3
    await one.look()
    await one.drain()
    await assert_read_models_equal_a_replay(engine)


async def held(http: httpx.AsyncClient) -> int:
    """Give how many leases a service has."""
    (line,) = [line for line in (await http.get("/metrics")).text.splitlines() if line.startswith("daicho_leases ")]
    return int(float(line.split()[1]))
