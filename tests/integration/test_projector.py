"""I4 and I5: every event takes effect exactly once in every read model, whatever happens on the way."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from query_service import checkpoints
from query_service.answer_cache import AnswerCache
from query_service.batches import Applied, Batches
from query_service.freshness import Freshness
from query_service.leases import Leases
from query_service.orders.aggregate import ORDERS
from query_service.partitions import WHOLE
from query_service.projected_position import ProjectedPosition
from query_service.projection import DecodedEvent
from query_service.projector import Projector
from query_service.telemetry import ProjectionTelemetry
from shared.event_log.events import Position, StreamId, Version
from shared.event_log.reader import PostgresEventLog
from shared.orders.events import EVENTS, OrderCancelled, OrderConfirmed, OrderShipped
from shared.tracing import Tracing
from tests.support.apps import query_service
from tests.support.databases import connected
from tests.support.events import an_event
from tests.support.orders import append_orders, commit, placed
from tests.support.projecting import Projecting
from tests.support.replay import assert_read_models_equal_a_replay, read_models
from tests.support.waiting import wait_until


async def test_given_an_order_each_read_model_has_its_rows(database: str, engine: AsyncEngine) -> None:
    order_id = uuid4()
    store = PostgresEventStore(engine)
    await store.append([commit(order_id, 0, placed("Aiko", "12.50", 3))])
    await store.append([commit(order_id, 1, OrderConfirmed())])
    await store.append([commit(order_id, 2, OrderShipped(carrier="Yamato", tracking_number="7"))])
    async with connected(database, 1, autocommit=False) as read_engine:
        one = Projecting(engine, read_engine)
        await one.register()
        await one.drain()
    models = await read_models(engine)
    (summary,) = models["order_summaries"]
    assert (summary["status"], str(summary["total_amount"]), summary["version"]) == ("shipped", "37.50", 3)
    assert models["order_details"][0]["carrier"] == "Yamato"
    assert str(models["order_items"][0]["subtotal"]) == "37.50"
    assert [(row["status"], row["count"]) for row in models["order_totals"]] == [("shipped", 1)]
    await assert_read_models_equal_a_replay(engine)


@pytest.mark.parametrize("batch", [1, 7, 1000])
async def test_read_models_equal_a_replay_for_any_batch_size(database: str, engine: AsyncEngine, batch: int) -> None:
    await append_orders(PostgresEventStore(engine), 150, seed=batch)
    async with connected(database, 1, autocommit=False) as read_engine:
        one = Projecting(engine, read_engine, batch=batch)
        await one.register()
        await one.drain()
    await assert_read_models_equal_a_replay(engine)


async def test_two_projectors_at_once_never_both_write(database: str, engine: AsyncEngine) -> None:
    await append_orders(PostgresEventStore(engine), 200)
    async with connected(database, 4, autocommit=False) as read_engine:
        projecting = [Projecting(engine, read_engine, batch=20) for _ in range(4)]
        await projecting[0].register()
        await asyncio.gather(*(one.drain() for one in projecting))
    await assert_read_models_equal_a_replay(engine)


class _Crash(Exception):
    pass


class _Crashing:
    """A projection that writes, then fails, at some batch."""

    name = "crashing"
    version = 1
    event_types = frozenset(EVENTS.classes)
    tables = ()

    def __init__(self, fail_at: int) -> None:
        self.fail_at = fail_at
        self.calls = 0

    async def apply(self, connection: AsyncConnection, batch: Sequence[DecodedEvent]) -> None:
        self.calls += 1
        if self.calls == self.fail_at:
            raise _Crash

    def loader(self) -> None:
        return None


async def test_a_batch_that_fails_leaves_no_trace_and_is_applied_once(database: str, engine: AsyncEngine) -> None:
    await append_orders(PostgresEventStore(engine), 60)
    projections = (*ORDERS.projections, _Crashing(fail_at=3))
    async with connected(database, 1, autocommit=False) as read_engine:
        one = Projecting(engine, read_engine, projections, batch=20)
        await one.register()
        with pytest.raises(_Crash):
            await one.drain()
        await one.drain()
    await assert_read_models_equal_a_replay(engine)


async def test_batches_are_bounded_in_bytes(database: str, engine: AsyncEngine) -> None:
    """Each ends with the event that brings it to the bound; none of them is taken for the end of the log."""
    store = PostgresEventStore(engine)
    await append_orders(store, 40)
    records = await store.read_all(Position(0), 1000)
    bound = 3 * max(record.size for record in records)
    async with connected(database, 1, autocommit=False) as read_engine:
        await Projecting(engine, read_engine).register()
        batches, ends = Batches(store, EVENTS, ORDERS.projections, 1000, bound), [0]
        async with read_engine.connect() as connection:
            while (applied := await batches.apply_next(connection)).is_full:
                batch = records[ends[-1] : ends[-1] + applied.events]
                assert sum(record.size for record in batch[:-1]) < bound <= sum(record.size for record in batch)
                ends.append(ends[-1] + applied.events)
    assert ends[-1] + applied.events == len(records)
    assert len(ends) > 5
    await assert_read_models_equal_a_replay(engine)


async def test_the_projector_goes_on_after_a_batch_that_bytes_cut_short(database: str, engine: AsyncEngine) -> None:
    """It never polls here, and nothing wakes it."""
    store = PostgresEventStore(engine)
    await append_orders(store, 10)
    head = await store.head()
    async with connected(database, 1, autocommit=False) as read_engine:
        await Projecting(engine, read_engine).register()
        projected = ProjectedPosition(1)
        batches = Batches(store, EVENTS, ORDERS.projections, 1000, max_bytes=1)
        async with connected(database, 1, autocommit=False) as lease_engine, lease_engine.connect() as connection:
            leases = Leases(lease_engine, uuid4(), batches.is_superseded, 3600)
            await leases.look(connection)
            assert set(leases.held) == {WHOLE}
        freshness = Freshness(PostgresEventLog(engine), projected, AnswerCache(0))
        projector = Projector(
            batches, read_engine, freshness, leases, 3600, ProjectionTelemetry(CollectorRegistry(), Tracing())
        )
        running = asyncio.create_task(projector.run())

        async def is_at_head() -> bool:
            return projected.value() == head

        try:
            await wait_until(is_at_head, "it has caught up")
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def positions(engine: AsyncEngine, *names: str) -> list[int]:
    query = text("SELECT position FROM read_model.checkpoints WHERE projection = :name")
    async with engine.connect() as connection:
        return [await connection.scalar(query, {"name": name}) or 0 for name in names]


async def test_a_new_projection_catches_up_while_the_others_stay(database: str, engine: AsyncEngine) -> None:
    store = PostgresEventStore(engine)
    summaries, *others = ORDERS.projections
    await append_orders(store, 50)
    async with connected(database, 1, autocommit=False) as read_engine:
        one = Projecting(engine, read_engine, [summaries], batch=10)
        await one.register()
        await one.drain()
        await append_orders(store, 50, seed=1)
        one = Projecting(engine, read_engine, [*others, summaries], batch=10)
        await one.register()
        (before,) = await positions(engine, "order_summaries")
        await one.apply_next()
        assert await positions(engine, "order_summaries", "order_items") == [before + 10, 10]
        await one.drain()
    await assert_read_models_equal_a_replay(engine)


async def test_events_of_other_aggregates_are_passed_over(database: str, engine: AsyncEngine) -> None:
    store = PostgresEventStore(engine)
    await store.append([Commit(StreamId("thing", uuid4()), Version(0), (an_event(), an_event()))])
    async with connected(database, 1, autocommit=False) as read_engine:
        one = Projecting(engine, read_engine)
        await one.register()
        assert (await one.apply_next()).events == 2
        assert (await one.apply_next()).events == 0
        async with read_engine.begin() as connection:
            following = await checkpoints.lock(connection, ORDERS.projections)
    assert {checkpoint.position for checkpoint in following} == {Position(2)}


async def test_tables_of_another_code_version_are_left_alone(database: str, engine: AsyncEngine) -> None:
    await append_orders(PostgresEventStore(engine), 5)
    one = _Crashing(fail_at=0)
    async with connected(database, 1, autocommit=False) as read_engine:
        projecting = Projecting(engine, read_engine, [one])
        await projecting.register()
        one.version = 2
        await projecting.register()
        assert await projecting.apply_next() == Applied(0, {}, {})
    assert one.calls == 0


async def test_a_follower_whose_listening_connection_is_killed_listens_again(
    database: str, engine: AsyncEngine
) -> None:
    """It never polls here, so what is appended while nobody listens is found only by looking after LISTEN."""
    store = PostgresEventStore(engine)
    async with query_service(database, poll_interval=60.0) as http:
        for number in range(1, 7):
            await wait_until(lambda: _listening(engine), "a connection LISTENs")
            if number % 2:
                await _kill(engine, "daicho-listen")
            await store.append([commit(uuid4(), 0, placed())])
            answer = await http.get("/statistics", headers={"Event-Position": str(number), "Prefer": "wait=30"})
            assert answer.json()["total_count"] == number
    await assert_read_models_equal_a_replay(engine)


async def test_without_listen_it_polls(database: str, engine: AsyncEngine) -> None:
    unreachable = "postgresql://nobody@127.0.0.1:1/none"
    async with query_service(database, listen_database_url=unreachable) as http:
        await PostgresEventStore(engine).append([commit(uuid4(), 0, placed())])
        answer = await http.get("/statistics", headers={"Event-Position": "1", "Prefer": "wait=30"})
        assert answer.json()["total_count"] == 1


async def test_every_connection_killed_is_recovered_from(database: str, engine: AsyncEngine) -> None:
    store = PostgresEventStore(engine)
    async with query_service(database) as http:
        for seed in range(5):
            await append_orders(store, 30, seed)
            for name in ("daicho-listen", "daicho-project", "daicho-query", "daicho-query-log"):
                await _kill(engine, name)
        head = await store.head()
        await wait_until(lambda: _reached(http, head), "the projector has caught up")
        await wait_until(lambda: _is_ready(http), "the service is ready again")
    await assert_read_models_equal_a_replay(engine)


async def test_an_append_in_sql_reaches_the_read_model(database: str, engine: AsyncEngine) -> None:
    """The log may be written by any client of the append function: NOTIFY comes from the database."""
    async with query_service(database, poll_interval=60.0) as http:
        await wait_until(lambda: _listening(engine), "a connection LISTENs")
        order_id = uuid4()
        await PostgresEventStore(engine).append([commit(order_id, 0, placed(), OrderCancelled(reason="no"))])
        answer = await http.get(f"/orders/{order_id}", headers={"Event-Position": "2", "Prefer": "wait=30"})
        assert answer.json()["status"] == "cancelled"


async def _scalar(engine: AsyncEngine, query: str, **parameters: Any) -> Any:
    async with engine.connect() as connection:
        return await connection.scalar(text(query), parameters)


_LISTENERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'daicho-listen' AND query ILIKE 'LISTEN%'
"""


async def _listening(engine: AsyncEngine) -> bool:
    return bool(await _scalar(engine, _LISTENERS) == 1)


async def _kill(engine: AsyncEngine, name: str) -> None:
    query = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = :name AND datname = current_database()"
    await _scalar(engine, query, name=name)


async def _reached(http: httpx.AsyncClient, position: int) -> bool:
    answer = await http.get("/projections")
    return answer.is_success and all(one["position"] >= position for one in answer.json())


async def _is_ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/health/ready")).is_success


async def _is_not_ready(http: httpx.AsyncClient) -> bool:
    return not await _is_ready(http)
