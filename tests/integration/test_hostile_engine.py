"""Hostile review: one failing test per defect."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from query_service import checkpoints, retrying
from query_service.batches import Batches
from query_service.orders.aggregate import ORDERS
from query_service.projection_statuses import ProjectionStatuses
from query_service.rebuild import ranges, rebuilder, requests
from query_service.retrying import Retried, Retrying
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from shared.event_log.reader import PostgresEventLog
from shared.orders.events import EVENTS, OrderCancelled, OrderConfirmed, OrderShipped
from tests.support.apps import query_service
from tests.support.databases import connected
from tests.support.http import get
from tests.support.orders import START, append_orders, commit, placed
from tests.support.projecting import Projecting
from tests.support.rebuilding import rebuilding
from tests.support.replay import assert_read_models_equal_a_replay
from tests.support.waiting import wait_until

BAD = '{"reason": 7}'
SUMMARIES, DETAILS, ITEMS = ORDERS.projections


def poison(data: str = BAD) -> NewEvent:
    return NewEvent(EventId(uuid4()), "OrderCancelled", 1, data, '{"correlation_id": "bad"}', START)


async def run(engine: AsyncEngine, query: str, **parameters: Any) -> Any:
    async with engine.connect() as connection:
        return await connection.execute(text(query), parameters)


async def rows(engine: AsyncEngine, query: str) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(text(query))).all())


async def cure(engine: AsyncEngine, bad: str = BAD) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("ALTER TABLE event_store.events DISABLE TRIGGER ALL"))
        await connection.execute(
            text("UPDATE event_store.events SET event_data = '{\"reason\": \"well\"}' WHERE event_data = CAST(:bad AS jsonb)"),
            {"bad": bad},
        )


async def projected(database: str, engine: AsyncEngine, orders: int = 50, *, isolating: bool = False) -> None:
    await append_orders(PostgresEventStore(engine), orders)
    async with connected(database, 1, autocommit=False) as read_engine:
        one = Projecting(engine, read_engine)
        await one.register()
        await one.drain(isolating=isolating)


async def test_a_connection_is_not_left_on_the_next_generation(database: str, engine: AsyncEngine) -> None:
    """An event that only the next generation cannot take: the second try looks for read_model_next.checkpoints."""
    store, order_id = PostgresEventStore(engine), uuid4()
    await store.append([commit(order_id, 0, placed())])
    await projected(database, engine)
    async with rebuilding(database) as one:
        await one.request("order_summaries")

        class _Stop(Exception):
            pass

        async def stop(_: Any) -> None:
            raise _Stop

        rebuild = one.rebuilder()
        rebuild._swap = stop  # type: ignore[method-assign]
        with pytest.raises(_Stop):
            await rebuild.rebuild()
        await run(engine, "DELETE FROM read_model_next.order_summaries WHERE order_id = :id", id=order_id)
        await store.append([commit(order_id, 1, OrderConfirmed())])
        async with one.read_engine.connect() as connection:
            batches = Batches(PostgresEventLog(engine), EVENTS, ORDERS.projections, 100)
            with pytest.raises(Exception, match="not placed"):
                await batches.apply_next(connection)
            assert (await batches.apply_next(connection, isolating=True)).events == 1


async def test_a_new_projection_does_not_hold_up_the_others(database: str, engine: AsyncEngine) -> None:
    store = PostgresEventStore(engine)
    await append_orders(store, 300)
    async with connected(database, 1, autocommit=False) as read_engine:
        old = Projecting(engine, read_engine, [SUMMARIES], batch=50)
        await old.register()
        await old.drain()
        new = Projecting(engine, read_engine, ORDERS.projections, batch=50)
        await new.register()
        await store.append([commit(uuid4(), 0, placed())])
        await new.apply_next()
        found = await rows(engine, "SELECT position FROM read_model.checkpoints WHERE projection = 'order_summaries'")
    assert found[0].position == await store.head(), f"{found[0].position} of {await store.head()}"


async def test_a_retry_leaves_tables_of_another_version_alone(database: str, engine: AsyncEngine) -> None:
    store, order_id = PostgresEventStore(engine), uuid4()
    await store.append([commit(order_id, 0, placed())])
    await store.append([Commit(StreamId("order", order_id), Version(1), (poison(),))])
    await projected(database, engine, isolating=True)
    await run(engine, "UPDATE read_model.checkpoints SET version = 7")
    await cure(engine)
    async with connected(database, 2, autocommit=False) as read_engine:
        found = await Retrying(PostgresEventLog(engine), EVENTS, ORDERS.projections, read_engine).retry(["order_summaries"])
    print(found)
    assert found == Retried(0, 1)


async def test_a_retry_counts_each_event_once(database: str, engine: AsyncEngine) -> None:
    store, order_id = PostgresEventStore(engine), uuid4()
    await store.append([commit(order_id, 0, placed())])
    await store.append([Commit(StreamId("order", order_id), Version(1), (poison(), poison('{"reason": 8}')))])
    await projected(database, engine, isolating=True)
    await cure(engine)
    async with connected(database, 2, autocommit=False) as read_engine:
        found = await Retrying(PostgresEventLog(engine), EVENTS, ORDERS.projections, read_engine).retry(["order_summaries"])
    left = await rows(engine, "SELECT position, attempts FROM read_model.parked_events WHERE projection = 'order_summaries'")
    print(found, left)
    assert found == Retried(1, 1)


async def test_a_retry_of_several_projections_skips_none(
    database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page ends between two projections' rows of one position."""
    monkeypatch.setattr(retrying, "_AT_ONCE", 1)
    store, order_id = PostgresEventStore(engine), uuid4()
    await store.append([commit(order_id, 0, placed())])
    await store.append([Commit(StreamId("order", order_id), Version(1), (poison(),))])
    await projected(database, engine, isolating=True)
    await cure(engine)
    names = [one.name for one in ORDERS.projections]
    async with connected(database, 2, autocommit=False) as read_engine:
        found = await Retrying(PostgresEventLog(engine), EVENTS, ORDERS.projections, read_engine).retry(names)
    left = await rows(engine, "SELECT projection, position FROM read_model.parked_events")
    print(found, left)
    assert left == []


async def test_what_was_retried_is_not_undone_by_a_swap(database: str, engine: AsyncEngine) -> None:
    store, order_id = PostgresEventStore(engine), uuid4()
    await store.append([commit(order_id, 0, placed())])
    await store.append([Commit(StreamId("order", order_id), Version(1), (poison(),))])
    await projected(database, engine, isolating=True)
    async with rebuilding(database) as one:
        await one.request("order_summaries")

        async def load_then_retry(run_id: UUID) -> None:
            await one.load(run_id)
            await cure(engine)
            retry = Retrying(PostgresEventLog(engine), EVENTS, ORDERS.projections, one.read_engine)
            assert await retry.retry(["order_summaries"]) == Retried(1, 0)

        await one.rebuilder(load_then_retry).rebuild()
    left = await rows(engine, "SELECT position FROM read_model.parked_events WHERE generation = 'live' AND projection = 'order_summaries'")
    assert left == [], "parked again"


async def test_views_over_views_come_along(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine)
    await run(engine, "CREATE VIEW read_model.names AS SELECT order_id, customer_name FROM read_model.order_summaries")
    await run(engine, "CREATE VIEW read_model.short_names AS SELECT left(customer_name, 2) FROM read_model.names")
    await run(engine, "ALTER VIEW read_model.names OWNER TO daicho_query")
    async with rebuilding(database) as one:
        await one.request("order_summaries")
        await one.rebuilder().rebuild()
        over = await rows(engine, "SELECT pg_get_viewdef('read_model.short_names'::regclass) AS d")
        print(over)
        async with one.read_engine.begin() as connection:
            await requests.finish(connection, SUMMARIES)
    assert await rows(engine, "SELECT 1 FROM pg_views WHERE viewname = 'short_names'"), "gone with the previous generation"


async def test_a_projection_that_is_no_more_does_not_freeze_the_views(database: str, store: Any = None) -> None:
    async with connected(database) as engine:
        store = PostgresEventStore(engine)
        await run(engine, "INSERT INTO read_model.checkpoints (projection, version, position) VALUES ('of_another_release', 1, 0)")
        async with query_service(database, refresh_seconds=0.2) as http:
            await append_orders(store, 20)
            head = await store.head()
            await get(http, "/statistics", head)
            answer = await http.get("/analytics/statuses", headers={"Event-Position": str(head), "Prefer": "wait=5"})
            assert answer.status_code == 200, answer.text


async def test_analytics_are_refreshed_after_a_retry(database: str, engine: AsyncEngine) -> None:
    store, order_id = PostgresEventStore(engine), uuid4()
    await store.append([commit(order_id, 0, placed())])
    await store.append([Commit(StreamId("order", order_id), Version(1), (poison(),))])
    async with query_service(database, refresh_seconds=0.2) as http:
        await get(http, "/statistics", 3 - 2)
        answer = await http.get("/analytics/statuses", headers={"Event-Position": "2", "Prefer": "wait=3"})
        print("parked event's position:", answer.status_code, answer.json())
        await cure(engine)
        assert (await http.post("/projections/order_summaries/parked/retry")).json()["applied"] == 1
        await asyncio.sleep(3)
        live = {one["status"]: one["count"] for one in (await get(http, "/statistics", 2)).json()["by_status"]}
        seen = {one["status"]: one["count"] for one in (await get(http, "/analytics/statuses", 2)).json()["by_status"]}
        assert seen == live


async def test_analytics_do_not_show_less_than_wanted(database: str, engine: AsyncEngine) -> None:
    """I9: what 503 is elsewhere while the event is parked."""
    store, order_id = PostgresEventStore(engine), uuid4()
    await store.append([commit(order_id, 0, placed())])
    await store.append([Commit(StreamId("order", order_id), Version(1), (poison(),))])
    async with query_service(database, refresh_seconds=0.2) as http:
        for path in ("/statistics", "/analytics/statuses"):
            answer = await http.get(path, headers={"Event-Position": "2", "Prefer": "wait=3"})
            assert answer.status_code == 503, path


async def test_finished_runs_leave_nothing(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine)
    async with rebuilding(database) as one:
        for _ in range(3):
            await one.request()
            await one.rebuilder().rebuild()
    assert await rows(engine, "SELECT run FROM read_model.rebuild_ranges") == []


async def test_progress_of_an_undo_is_of_the_log(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine)
    async with rebuilding(database) as one:
        await one.request("order_details")
        await one.rebuilder().rebuild()
        await append_orders(PostgresEventStore(engine), 200, seed=5)
        async with one.read_engine.begin() as connection:
            await requests.undo(connection, DETAILS)
        statuses = await ProjectionStatuses(PostgresEventLog(engine), one.read_engine, ORDERS.projections).list()
    (status,) = [one.rebuild for one in statuses if one.name == "order_details"]
    print(status)
    assert status is not None and status.events_done < status.events_total


async def test_an_undo_is_not_overrun_by_a_rebuild_that_begins(
    database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`undo` gives up the requested rebuild; `_begin` has read the request already, and drops what undo restored."""
    await projected(database, engine)
    await run(engine, "UPDATE read_model.order_details SET carrier = 'from before'")
    async with rebuilding(database) as one:
        await one.request("order_details")
        await one.rebuilder().rebuild()
        plan = ranges.plan

        async def undone_meanwhile(*arguments: Any) -> Any:
            if undone_meanwhile.__dict__.setdefault("first", True):
                undone_meanwhile.__dict__["first"] = False
                async with one.read_engine.begin() as connection:
                    await requests.undo(connection, DETAILS)
            return await plan(*arguments)

        monkeypatch.setattr(rebuilder.ranges, "plan", undone_meanwhile)
        await one.request("order_details")
        await one.rebuilder().rebuild()
    assert await rows(engine, "SELECT 1 FROM read_model.order_details WHERE carrier = 'from before'"), "the undo is lost"


async def test_a_new_request_after_a_discard_is_not_taken_for_what_was_loaded(
    database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """discard + request between the last batch of `_catch_up` and its change of state: `following` without tables."""
    await projected(database, engine)
    async with rebuilding(database) as one:
        await one.request("order_details")
        rebuild = one.rebuilder()
        apply_next = one.batches.apply_next

        async def then_discarded(connection: Any, **options: Any) -> Any:
            applied = await apply_next(connection, **options)
            if options.get("state") == "loaded" and applied.events < one.batches.size:
                async with one.read_engine.begin() as other:
                    await requests.discard(other, DETAILS)
                async with one.read_engine.begin() as other:
                    await requests.request(other, [DETAILS])
                monkeypatch.setattr(one.batches, "apply_next", apply_next)
            return applied

        monkeypatch.setattr(one.batches, "apply_next", then_discarded)

        async def stop(_: Any) -> None:
            raise asyncio.CancelledError

        monkeypatch.setattr(rebuild, "_swap", stop)
        with pytest.raises(asyncio.CancelledError):
            await rebuild.rebuild()
        await append_orders(PostgresEventStore(engine), 5, seed=8)
        # The live projector, from here on:
        async with one.read_engine.connect() as connection:
            await Batches(PostgresEventLog(engine), EVENTS, ORDERS.projections, 100).apply_next(connection, isolating=True)
