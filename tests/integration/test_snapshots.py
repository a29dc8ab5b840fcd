"""Snapshots and the state cache over PostgreSQL and HTTP: off the request's path, and never a wrong answer."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.app import create_app
from command_service.orders.aggregate import ORDERS
from command_service.orders.decider import OrderState
from command_service.postgres_snapshots import _STORED, PostgresSnapshotStore
from command_service.postgres_store import PostgresEventStore
from command_service.repository import Repository
from command_service.snapshot_taker import SnapshotTaker
from command_service.snapshots import Snapshot, StateSchema
from command_service.state_cache import StateCache
from shared.errors import DatabaseUnavailable
from shared.event_log.events import StreamId, Version
from tests.support.apps import command_service, command_settings, running
from tests.support.http import assert_problem, place
from tests.support.orders import commit, placed
from tests.support.plans import statements
from tests.support.tally import DECIDER, EVENTS, STATE, Tally, TallyEvent, a_tally, append_added
from tests.support.waiting import wait_until


async def test_the_command_service_takes_snapshots_and_starts_from_them(database: str, engine: AsyncEngine) -> None:
    """With one due at every event; a second process then decides on a snapshot that was altered to tell."""
    orders = replace(ORDERS, state=StateSchema(OrderState, snapshot_every=1))
    async with running(create_app(command_settings(database), [orders])) as http:
        location = (await place(http)).headers["Location"]
        await http.post(f"{location}/confirm")
        await wait_until(lambda: _snapshot_is(engine, 2, "confirmed"), "a snapshot is taken")
    async with engine.begin() as connection:
        await connection.execute(text("""UPDATE event_store.snapshots SET state = '{"status": "shipped"}'"""))
    async with running(create_app(command_settings(database), [orders])) as http:
        problem = assert_problem(await http.post(f"{location}/ship"), 409, "invalid-transition")
    assert problem["order_status"] == "shipped"


async def test_a_broken_snapshot_does_not_stop_commands(database: str, engine: AsyncEngine) -> None:
    async with command_service(database) as http:
        location = (await place(http)).headers["Location"]
    order_id = location.removeprefix("/orders/")
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO event_store.snapshots VALUES ('order', :id, 1, '[1, 2]', 1)"), {"id": order_id}
        )
    async with command_service(database) as http:
        confirmed = await http.post(f"{location}/confirm")
        assert (confirmed.status_code, confirmed.json()["status"]) == (200, "confirmed")
        await wait_until(lambda: _snapshot_is(engine, 1, "pending"), "the broken snapshot is replaced")


async def test_two_services_that_know_an_order_by_heart_agree(database: str) -> None:
    async with command_service(database) as here, command_service(database) as there:
        location = (await place(here)).headers["Location"]
        assert (await there.post(f"{location}/confirm")).json()["version"] == 2
        assert (await here.post(f"{location}/ship", headers={"If-Match": '"2"'})).json()["version"] == 3
        refused = assert_problem(
            await there.post(f"{location}/cancel", json={"reason": "late"}), 409, "invalid-transition"
        )
        assert refused["order_status"] == "shipped"
        assert_problem(await there.post(f"{location}/confirm", headers={"If-Match": '"2"'}), 412, "version-mismatch")


async def test_nothing_is_decided_on_what_another_log_held(database: str, engine: AsyncEngine) -> None:
    """As after a failover that lost the log's tail: at the same version and position there is another event."""
    async with command_service(database) as http:
        location = (await place(http)).headers["Location"]
        await http.post(f"{location}/confirm")
        async with engine.connect() as connection:
            await connection.execute(text("ALTER TABLE event_store.events DISABLE TRIGGER ALL"))
            await connection.execute(
                text(
                    "UPDATE event_store.events SET event_type = 'OrderCancelled', event_data = '{\"reason\": \"x\"}',"
                    " event_id = gen_random_uuid() WHERE version = 2"
                )
            )
        for command in ("ship", "confirm"):
            problem = assert_problem(await http.post(f"{location}/{command}"), 409, "invalid-transition")
            assert problem["order_status"] == "cancelled"


async def test_processes_that_save_the_same_streams_do_not_lock_each_other_out(engine: AsyncEngine) -> None:
    store = PostgresSnapshotStore(engine)
    streams = [a_tally() for _ in range(2000)]
    for version in range(1, 6):
        saved = [Snapshot(stream, Version(version), b"{}", 1) for stream in streams]
        await asyncio.gather(store.save(saved), store.save(saved[::-1]))


async def test_a_database_that_refuses_snapshots_costs_them_only(engine: AsyncEngine) -> None:
    with pytest.raises(DatabaseUnavailable, match="does not take snapshots"):
        await PostgresSnapshotStore(engine).save([Snapshot(a_tally(), Version(1), b"{", 1)])


@pytest.mark.parametrize("snapshot", [0, 1, 137, 299, 300])
async def test_a_state_is_the_same_with_and_without_a_snapshot(engine: AsyncEngine, snapshot: int) -> None:
    stream = a_tally()
    await append_added(PostgresEventStore(engine), stream, 300)
    if snapshot:
        state = STATE.encode(Tally(snapshot, f"number {snapshot - 1}"))
        await PostgresSnapshotStore(engine).save([Snapshot(stream, Version(snapshot), state, 1)])
    known = await a_repository(engine).load(stream)
    assert (known.state, known.version, known.position) == (Tally(300, "number 299"), 300, 300)


async def test_a_load_reads_by_index_from_the_snapshot_on(engine: AsyncEngine) -> None:
    stream = a_tally()
    await append_added(PostgresEventStore(engine), stream, 3000)
    await PostgresSnapshotStore(engine).save([Snapshot(stream, Version(2990), STATE.encode(Tally()), 1)])
    plan = await _plan(engine, stream)
    assert "Seq Scan on events" not in plan
    assert "Index Scan using events_stream_version_key" in plan
    assert "rows=11" in plan


async def test_orders_are_found_by_index_though_the_plans_are_of_a_small_log(
    database: str, engine: AsyncEngine
) -> None:
    few = await _place(engine, 10)
    async with engine.connect() as connection:
        await connection.execute(text("VACUUM ANALYZE event_store.events"))
    async with command_service(database) as http:
        for order_id in few:
            await _confirm(http, order_id)
        many = await _place(engine, 2000)
        for order_id in many[:10]:
            await _confirm(http, order_id)
    # The service's sessions have ended, and told what they read.
    async with engine.connect() as connection:
        scanned = await connection.scalar(
            text("SELECT seq_tup_read FROM pg_stat_user_tables WHERE schemaname = 'event_store' AND relname = 'events'")
        )
    assert scanned < 2000


async def test_loads_that_come_at_once_share_statements_of_a_few_streams(engine: AsyncEngine) -> None:
    """Few, for without snapshots streams may be long, and all that one statement reads is in memory at once."""
    snapshots = PostgresSnapshotStore(engine)
    ids = await _place(engine, 50)
    with statements(engine) as run:
        found = await asyncio.gather(*(snapshots.load(StreamId("order", one), 1) for one in ids))
    assert [stored.events[0].stream.aggregate_id for stored in found] == ids
    # The first two come at once, each by itself; the others wait, and go together.
    sizes = sorted(len(one) for statement in run for one in statement.parameters if isinstance(one, list))
    assert sizes == [1, 1, 16, 16, 16]


def a_repository(engine: AsyncEngine) -> Repository[Tally, TallyEvent]:
    store, snapshots = PostgresEventStore(engine), PostgresSnapshotStore(engine)
    return Repository(DECIDER, EVENTS, STATE, store, snapshots, SnapshotTaker(snapshots), StateCache(0))


async def _place(engine: AsyncEngine, count: int) -> list[UUID]:
    """Have orders placed elsewhere: no service knows them."""
    ids = [uuid4() for _ in range(count)]
    await PostgresEventStore(engine).append([commit(order_id, 0, placed()) for order_id in ids])
    return ids


async def _confirm(http: httpx.AsyncClient, order_id: UUID) -> None:
    assert (await http.post(f"/orders/{order_id}/confirm")).status_code == 200


async def _snapshot_is(engine: AsyncEngine, version: int, status: str) -> bool:
    async with engine.connect() as connection:
        rows = list(await connection.execute(text("SELECT version, state FROM event_store.snapshots")))
    return [(row.version, row.state) for row in rows] == [(version, {"status": status})]


async def _plan(engine: AsyncEngine, stream: StreamId) -> str:
    values = {"aggregate_type": stream.aggregate_type, "ids": [stream.aggregate_id], "schema_version": 1}
    compiled = _STORED.params(values).compile(dialect=engine.dialect)
    given = tuple(compiled.params[name] for name in compiled.positiontup or ())
    async with engine.connect() as connection:
        await connection.execute(text("ANALYZE event_store.events"))
        rows = await connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {compiled}", given
        )
        return "\n".join(row[0] for row in rows)
