"""Projections divided into partitions: what is applied at once, what is read, what a rebuild waits for (I5, I9)."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from query_service.orders.aggregate import ORDERS
from query_service.partitions import hash_of
from query_service.rebuild.rebuilder import Rebuilder
from shared.orders.events import OrderCancelled, OrderConfirmed, OrderShipped
from tests.support.apps import query_service
from tests.support.http import get
from tests.support.orders import append_orders, commit, placed
from tests.support.partitioned import OF, Gate, Replica, divide, expire, is_waiting, reached
from tests.support.rebuilding import rebuilding
from tests.support.replay import assert_read_models_equal_a_replay
from tests.support.waiting import wait_until

_ALL = 1000
"""Events of a batch: of so many, some are in each partition, whatever the orders' ids."""


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


@pytest.mark.parametrize("why", ["nothing", "positions", "poison"])
async def test_batches_of_two_replicas_go_on_at_once_unless_they_might_deadlock(
    engine: AsyncEngine, read_engine: AsyncEngine, store: PostgresEventStore, why: str
) -> None:
    """A batch from several positions, or one that isolates, adds to sums more than once: it waits until it is alone."""
    gate = Gate()
    projections = (*ORDERS.projections, gate)
    await divide(read_engine, OF, projections)
    # The first event is of an even partition: the odd ones may be past it.
    first = next(one for one in iter(uuid4, None) if hash_of(one) % 2 == 0)
    await store.append([commit(first, 0, placed())])
    if why == "positions":
        async with read_engine.begin() as connection:
            await connection.execute(text("UPDATE read_model.checkpoints SET position = partition % 2"))
    await append_orders(store, 20)
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(read_engine.connect()) for _ in range(4)]
        one, other = (
            Replica(engine, connections[2 * n : 2 * n + 2], of, _ALL)
            for n, of in ((0, projections), (1, ORDERS.projections))
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
