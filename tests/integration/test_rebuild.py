"""Rebuilds: a new generation beside the live one, equal to a replay (I5), swapped in while queries go on."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from query_service.orders.aggregate import ORDERS
from query_service.rebuild import ranges, requests
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from shared.orders.events import OrderShipped
from tests.support.apps import query_service
from tests.support.databases import connected
from tests.support.http import get
from tests.support.orders import START, append_orders, commit, placed
from tests.support.processes import daicho
from tests.support.projecting import Projecting, projected
from tests.support.rebuilding import Rebuilding, rebuilding
from tests.support.replay import assert_read_models_equal_a_replay
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def _many_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "EVENTS_PER_RANGE", 50)


async def rows(engine: AsyncEngine, query: str) -> list[dict[str, Any]]:
    async with engine.connect() as connection:
        return [dict(row._mapping) for row in await connection.execute(text(query))]


async def reports(engine: AsyncEngine) -> dict[str, Any]:
    found = await rows(engine, "SELECT projection, report FROM read_model.checkpoints WHERE generation = 'live'")
    return {row["projection"]: row["report"] for row in found}


async def test_a_rebuild_gives_the_same(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine)
    async with rebuilding(database) as one:
        await one.request()
        assert await one.rebuilder().rebuild()
    await assert_read_models_equal_a_replay(engine)
    for report in (await reports(engine)).values():
        assert report["compared"]
        assert all(table["different_rows"] == 0 for table in report["tables"].values()), report


async def test_a_rebuild_mends_what_was_damaged_and_says_so(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine)
    async with engine.connect() as connection:
        await connection.execute(text("DELETE FROM read_model.order_items WHERE line_number = 1"))
        (order_id,) = (
            await connection.execute(
                text(
                    "UPDATE read_model.order_summaries SET customer_name = 'x' WHERE order_id ="
                    " (SELECT order_id FROM read_model.order_summaries LIMIT 1) RETURNING order_id"
                )
            )
        ).one()
    async with rebuilding(database) as one:
        await one.request()
        assert await one.rebuilder().rebuild()
    await assert_read_models_equal_a_replay(engine)
    found = await reports(engine)
    assert found["order_summaries"]["tables"]["order_summaries"]["examples"] == [str(order_id)]
    items = found["order_items"]["tables"]["order_items"]
    assert items["different_rows"] == items["next_rows"] - items["live_rows"] > 0


async def test_queries_go_on_and_the_service_does_it_when_asked(database: str, engine: AsyncEngine) -> None:
    """Commands are projected meanwhile; every answer is whole."""
    store = PostgresEventStore(engine)
    await append_orders(store, 100)
    async with query_service(database, rebuild_processes=2) as http:
        await get(http, "/orders", await store.head())
        for name in ("order_summaries", "order_details", "order_items"):
            answer = await http.post(f"/projections/{name}/rebuild")
            assert (answer.status_code, answer.json()["name"]) == (202, name)
            assert answer.json()["rebuild"]["state"] in {"requested", "loading", "loaded", "following"}
        seed = 0
        while not await _all_rebuilt(http):
            seed += 1
            await append_orders(store, 5, seed=seed)
            head = await store.head()
            answer = await http.get("/orders?limit=200", headers={"Event-Position": str(head), "Prefer": "wait=30"})
            assert len(answer.json()["items"]) == min(200, 100 + 5 * seed), answer.text
        await get(http, "/orders", await store.head())
        assert (await http.post("/projections/none/rebuild")).status_code == 404
        assert [one["can_undo"] for one in (await http.get("/projections")).json()] == [True] * 3
    await assert_read_models_equal_a_replay(engine)


async def _all_rebuilt(http: httpx.AsyncClient) -> bool:
    found = (await http.get("/projections")).json()
    return all(one["rebuild"] is None and one["can_undo"] for one in found)


async def test_a_projection_of_another_version_is_rebuilt_while_the_old_one_serves(
    database: str, engine: AsyncEngine
) -> None:
    await projected(database, engine)
    async with engine.connect() as connection:
        await connection.execute(
            text("UPDATE read_model.checkpoints SET version = 7 WHERE projection = 'order_summaries'")
        )
        await connection.execute(text("UPDATE read_model.order_summaries SET customer_name = 'old'"))
    async with query_service(database, rebuild_processes=1) as http:
        first = (await http.get("/projections")).json()[0]
        assert (first["version"], first["state"]) == (7, "outdated") or first["version"] == 1
        await wait_until(lambda: _is_of_version(http, 1), "the projection is rebuilt", 60)
        assert "old" not in {order["customer_name"] for order in (await http.get("/orders?limit=200")).json()["items"]}
    await assert_read_models_equal_a_replay(engine)


async def _is_of_version(http: httpx.AsyncClient, version: int) -> bool:
    return bool((await http.get("/projections")).json()[0]["version"] == version)


async def test_a_rebuild_can_be_undone_again_and_again_while_it_is_kept(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine)
    async with engine.connect() as connection:
        await connection.execute(text("UPDATE read_model.order_details SET carrier = 'from before'"))
    summaries, details, items = ORDERS.projections
    async with rebuilding(database) as one:
        await one.request("order_details")
        await one.rebuilder().rebuild()
        for is_undone in (True, False):
            await append_orders(PostgresEventStore(engine), 10, seed=int(is_undone) + 1)
            async with one.read_engine.begin() as connection:
                await requests.undo(connection, details)
            await one.rebuilder().rebuild()
            found = await rows(engine, "SELECT 1 FROM read_model.order_details WHERE carrier = 'from before'")
            assert bool(found) == is_undone
        await drained(one)
        await assert_read_models_equal_a_replay(engine)
        for projection in (summaries, items):
            with pytest.raises(requests.NothingToUndo):
                async with one.read_engine.begin() as connection:
                    await requests.undo(connection, projection)
        async with one.read_engine.begin() as connection:
            await requests.finish(connection, details)
        with pytest.raises(requests.NothingToUndo):
            async with one.read_engine.begin() as connection:
                await requests.undo(connection, details)
    assert await left_over(engine) == []


async def drained(one: Rebuilding) -> None:
    async with one.read_engine.connect() as connection:
        while (await one.batches.apply_next(connection)).events:
            pass


async def left_over(engine: AsyncEngine) -> list[dict[str, Any]]:
    """Give what there is beside the live generation."""
    return await rows(
        engine,
        "SELECT relname FROM pg_class WHERE relnamespace IN ('read_model_next'::regnamespace, 'read_model_previous'::regnamespace)"
        " UNION ALL SELECT projection FROM read_model.checkpoints WHERE generation <> 'live'",
    )


async def test_previous_generations_go_after_their_time(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine)
    async with rebuilding(database) as one:
        await one.request()
        await one.rebuilder(kept=timedelta(0)).rebuild()
    assert await left_over(engine) == []


class _Killed(Exception):
    pass


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_rebuild_that_was_interrupted_goes_on(database: str, engine: AsyncEngine, after: int) -> None:
    """What was loaded is not loaded again; nothing is doubled."""
    await projected(database, engine)
    async with rebuilding(database) as one:
        await one.request()
        done = 0

        async def killed(run: UUID) -> None:
            nonlocal done
            async with one.read_engine.connect() as connection, one.read_engine.connect() as log:
                while done < after and await one.loader._load_next(connection, log, run):
                    done += 1
            raise _Killed

        with pytest.raises(_Killed):
            await one.rebuilder(killed).rebuild()
        assert len(await rows(engine, "SELECT 1 FROM read_model.rebuild_ranges WHERE events IS NOT NULL")) == after
        await assert_read_models_equal_a_replay(engine)
        assert await one.rebuilder().rebuild()
    await assert_read_models_equal_a_replay(engine)
    assert all(report["compared"] for report in (await reports(engine)).values())


async def test_one_process_rebuilds_at_a_time(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine)
    async with rebuilding(database) as one, rebuilding(database) as other:
        await one.request()
        loading, go_on = asyncio.Event(), asyncio.Event()

        async def slowly(run: UUID) -> None:
            loading.set()
            await go_on.wait()
            await one.load(run)

        running = asyncio.create_task(one.rebuilder(slowly).rebuild())
        await loading.wait()
        assert not await other.rebuilder().rebuild()
        go_on.set()
        assert await running
    await assert_read_models_equal_a_replay(engine)


async def test_a_poison_event_is_parked_as_the_live_projection_parks_it(database: str, engine: AsyncEngine) -> None:
    store, order_id = PostgresEventStore(engine), uuid4()
    await store.append([commit(order_id, 0, placed())])
    bad = NewEvent(EventId(uuid4()), "OrderConfirmed", 99, "{}", "{}", START)
    await store.append([Commit(StreamId("order", order_id), Version(1), (bad,))])
    await store.append([commit(order_id, 2, OrderShipped(carrier="c", tracking_number="t"))])
    await append_orders(store, 20)
    async with connected(database, 1, autocommit=False) as read_engine:
        one = Projecting(engine, read_engine)
        await one.register()
        await one.drain(isolating=True)
    parked = (
        "SELECT projection, position, event_type, error FROM read_model.parked_events"
        " WHERE generation = 'live' ORDER BY projection, position"
    )
    before = await rows(engine, parked)
    assert [(row["projection"], row["event_type"]) for row in before] == [
        ("order_summaries", "OrderConfirmed"), ("order_summaries", "OrderShipped"),
    ]  # fmt: skip
    async with rebuilding(database) as again:
        await again.request()
        await again.rebuilder().rebuild()
    assert await rows(engine, parked) == before
    for report in (await reports(engine)).values():
        assert all(table["different_rows"] == 0 for table in report["tables"].values()), report


async def test_indexes_rights_and_views_come_along(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine)
    about = (
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'read_model' ORDER BY 1",
        (
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'read_model'::regnamespace ORDER BY 1, 2"
        ),
        (
            "SELECT relname, relowner::regrole::text, relacl::text FROM pg_class WHERE relnamespace = 'read_model'::regnamespace"
            " AND relkind IN ('r', 'm', 'v') ORDER BY 1"
        ),
        "SELECT viewname, definition FROM pg_views WHERE schemaname = 'read_model' ORDER BY 1",
        "SELECT matviewname, definition FROM pg_matviews WHERE schemaname = 'read_model' ORDER BY 1",
    )
    async with engine.connect() as connection:
        await connection.execute(text("GRANT SELECT ON read_model.order_summaries TO daicho_command"))
        await connection.execute(
            text("CREATE VIEW read_model.names AS SELECT customer_name FROM read_model.order_summaries")
        )
        await connection.execute(text("ALTER VIEW read_model.names OWNER TO daicho_query"))
    before = [await rows(engine, query) for query in about]
    async with rebuilding(database) as one:
        for _ in range(2):
            await one.request()
            await one.rebuilder().rebuild()
    assert [await rows(engine, query) for query in about] == before


async def test_the_command_rebuilds_undoes_and_finishes_without_a_service(database: str, engine: AsyncEngine) -> None:
    await projected(database, engine)
    async with engine.connect() as connection:
        await connection.execute(text("DELETE FROM read_model.order_items"))
    code, output = await daicho(database, "rebuild", "--all", DAICHO_REBUILD_PROCESSES="1")
    assert code == 0, output
    lines = output.splitlines()
    assert lines[0] == "order_summaries: rebuilt, at position 230; nothing was different"
    assert "rows of order_items were different, such as" in lines[2]
    await assert_read_models_equal_a_replay(engine)
    code, output = await daicho(database, "rebuild", "order_items", "--undo", DAICHO_REBUILD_PROCESSES="1")
    assert code == 0, output
    assert output.startswith("order_items: undone, at position 230; ")
    assert await rows(engine, "SELECT 1 FROM read_model.order_items") == []
    assert (await daicho(database, "rebuild", "order_items", "--undo"))[0] == 0
    await assert_read_models_equal_a_replay(engine)
    code, output = await daicho(database, "rebuild", "--all", "--finish")
    assert (code, output.splitlines()[2]) == (0, "order_items: no tables from before a rebuild are kept any more")
    assert await left_over(engine) == []
    code, output = await daicho(database, "rebuild", "order_items", "--undo")
    assert (code, "no previous generation of order_items is kept" in output) == (1, True)
    for arguments in ((), ("order_items", "--all"), ("order_items", "--undo", "--finish")):
        assert (await daicho(database, "rebuild", *arguments))[0] == 2
    assert "there is no projection 'x'" in (await daicho(database, "rebuild", "x"))[1]
