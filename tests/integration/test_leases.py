"""Leases on partitions, and their fences: who holds them projects, and nobody else (I5)."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from query_service.batches import Applied, Batches
from query_service.leases import Leases
from query_service.orders.aggregate import ORDERS
from query_service.partitions import Partition
from shared.event_log.reader import PostgresEventLog
from shared.orders.events import EVENTS
from tests.support.databases import connected
from tests.support.orders import append_orders
from tests.support.partitioned import OF, Gate, Replica, column, divide, expire, reached
from tests.support.replay import assert_read_models_equal_a_replay
from tests.support.waiting import wait_until


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


async def test_nobody_takes_a_lease_in_the_middle_of_a_batch(
    engine: AsyncEngine, read_engine: AsyncEngine, store: PostgresEventStore
) -> None:
    """Of which nobody can know whether it will commit."""
    gate = Gate()
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
