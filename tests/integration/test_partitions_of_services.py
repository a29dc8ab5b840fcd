"""Query services that share partitions, and rebuilds that change how many there are, under traffic (I5)."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from daicho import rebuild_command
from query_service import app
from query_service.settings import QuerySettings
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from shared.orders.events import OrderConfirmed
from tests.support.apps import query_service
from tests.support.http import get
from tests.support.orders import START, append_orders, commit, placed
from tests.support.processes import daicho
from tests.support.rebuilding import rebuilding
from tests.support.replay import assert_read_models_equal_a_replay
from tests.support.waiting import wait_until
from tests.support.writing import writing


class _Loading:
    """Loads in this process: workers would take longer to start than to load."""

    def __init__(self, settings: QuerySettings) -> None:
        self._url = settings.log_url

    async def load(self, run: UUID) -> None:
        async with rebuilding(self._url) as one:
            await one.load(run)


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (app, rebuild_command):
        monkeypatch.setattr(module, "LoadProcesses", _Loading)


NAMES = ("order_summaries", "order_details", "order_items")
LONG = 60.0
"""Seconds that no test lasts: a lease that moves within one was given up."""


def seen_writing(store: PostgresEventStore, http: httpx.AsyncClient) -> AbstractAsyncContextManager[None]:
    """Append orders, some more whenever they are in the read model."""

    async def is_seen() -> None:
        await get(http, "/statistics", await store.head())

    return writing(store, is_seen)


async def projections(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await http.get("/projections")).json()
    return found


async def divide(http: httpx.AsyncClient, of: int) -> None:
    """Have every projection rebuilt in so many partitions, and wait until they are live."""
    for name in NAMES:
        answer = await http.post(f"/projections/{name}/rebuild", params={"partitions": of})
        assert answer.status_code == 202, answer.text
        assert answer.json()["rebuild"]["partitions"] == of

    async def are_divided() -> bool:
        found = await projections(http)
        return all(one["rebuild"] is None and len(one["partitions"]) == of for one in found)

    await wait_until(are_divided, f"every projection has {of} partitions", 60)


async def leases(http: httpx.AsyncClient) -> int:
    (line,) = [line for line in (await http.get("/metrics")).text.splitlines() if line.startswith("daicho_leases ")]
    return int(float(line.split()[1]))


async def test_replicas_share_partitions_and_give_them_up_as_they_stop(
    database: str, engine: AsyncEngine, store: PostgresEventStore
) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(query_service(database, lease_seconds=LONG))
        other_stack = await stack.enter_async_context(AsyncExitStack())
        other = await other_stack.enter_async_context(query_service(database, lease_seconds=LONG))
        await append_orders(store, 20)
        await divide(one, 4)

        async def is_even() -> bool:
            return [await leases(each) for each in (one, other)] == [2, 2]

        async def has_all() -> bool:
            return await leases(one) == 4

        await wait_until(is_even, "each has two")
        async with seen_writing(store, one):
            head = await store.head()
            for each in (one, other):
                assert (await get(each, "/statistics", head)).status_code == 200
            await other_stack.aclose()
            await wait_until(has_all, "the one that goes on has all four")
        assert (await get(one, "/statistics", await store.head())).status_code == 200
    await assert_read_models_equal_a_replay(engine)


async def test_the_number_of_partitions_changes_while_orders_come_in_and_are_read(
    database: str, engine: AsyncEngine, store: PostgresEventStore
) -> None:
    """Nobody waits for a rebuild, and each finds nothing to mend: the tables divided otherwise were the same."""
    async with query_service(database, lease_seconds=LONG) as one, query_service(database, lease_seconds=LONG) as other:
        await append_orders(store, 100)
        async with seen_writing(store, one):
            for of in (3, 1):
                await divide(one, of)
                head = await store.head()
                for each in (one, other):
                    assert (await get(each, "/statistics", head)).status_code == 200
                for status in await projections(one):
                    assert status["last_rebuild"]["compared"], status
                    tables = status["last_rebuild"]["tables"].values()
                    assert all(table["different_rows"] == 0 for table in tables), status
        head = await store.head()
        for each in (one, other):
            assert (await get(each, "/statistics", head)).status_code == 200
    await assert_read_models_equal_a_replay(engine)


async def test_a_divided_projection_parks_one_order_and_applies_it_when_asked(
    database: str, engine: AsyncEngine, store: PostgresEventStore
) -> None:
    async with query_service(database) as http:
        await append_orders(store, 20)
        await divide(http, 4)
        sick = uuid4()
        bad = NewEvent(EventId(uuid4()), "OrderCancelled", 1, '{"reason": 7}', '{"correlation_id": "bad"}', START)
        await store.append([commit(sick, 0, placed())])
        await store.append([Commit(StreamId("order", sick), Version(1), (bad,))])
        await append_orders(store, 40, seed=1)
        assert (await get(http, "/statistics", await store.head())).json()["total_count"] == 61
        assert [one["parked"] for one in await projections(http)] == [1, 1, 0]
        # A rebuild parks it too, and knows that it has.
        await divide(http, 3)
        async with engine.connect() as connection:
            # Whichever replica projects it: here one projects them all.
            knows = "SELECT has_parked FROM read_model.checkpoints WHERE generation = 'live' AND projection = 'order_summaries'"
            assert list((await connection.execute(text(knows))).scalars()) == [True] * 3
        await store.append([commit(sick, 2, OrderConfirmed())])
        await append_orders(store, 5, seed=2)
        assert (await get(http, "/statistics", await store.head())).json()["total_count"] == 66
        assert [one["parked"] for one in await projections(http)] == [2, 1, 0]
        async with engine.connect() as connection:
            await connection.execute(text("ALTER TABLE event_store.events DISABLE TRIGGER ALL"))
            well = 'UPDATE event_store.events SET event_data = \'{"reason": "well"}\' WHERE event_id = :id'
            await connection.execute(text(well), {"id": bad.event_id})
        for name, count in zip(NAMES[:2], (2, 1), strict=True):
            assert (await http.post(f"/projections/{name}/parked/retry")).json() == {"applied": count, "parked": 0}
        assert [one["parked"] for one in await projections(http)] == [0, 0, 0]
    await assert_read_models_equal_a_replay(engine)


async def test_the_command_divides_shows_and_keeps_the_number(
    database: str, engine: AsyncEngine, store: PostgresEventStore
) -> None:
    await append_orders(store, 30)
    async with query_service(database) as http:
        await get(http, "/statistics", await store.head())
        code, said = await daicho(database, "rebuild", "--all", "--partitions", "2")
        assert code == 0, said
        assert said.count("nothing was different") == 3
        code, said = await daicho(database, "rebuild", "order_items")
        assert code == 0, said
        assert [len(one["partitions"]) for one in await projections(http)] == [2, 2, 2]

        async def is_shown() -> bool:
            return (await daicho(database, "status"))[1].count("2 partitions (2)") == 3

        await wait_until(is_shown, "status tells of the partitions and who holds them")
        await append_orders(store, 10, seed=1)
        await get(http, "/statistics", await store.head())
    await assert_read_models_equal_a_replay(engine)


async def test_a_rebuild_that_has_begun_goes_on_into_its_own_number(database: str) -> None:
    code, said = await daicho(database, "rebuild", "order_items", "--partitions", "3", "--no-wait")
    assert code == 0, said
    code, said = await daicho(database, "rebuild", "order_items", "--partitions", "2", "--no-wait")
    assert code == 1
    assert "order_items is being rebuilt with --partitions 3" in said
    code, said = await daicho(database, "rebuild", "order_items", "--partitions", "2", "--undo")
    assert code == 2
    async with query_service(database) as http:

        async def is_done() -> bool:
            return len((await projections(http))[2]["partitions"]) == 3

        await wait_until(is_done, "it has three", 60)


@pytest.mark.parametrize("of", [0, 65, "x"])
async def test_a_number_that_is_none_is_refused(http: httpx.AsyncClient, of: int | str) -> None:
    answer = await http.post("/projections/order_items/rebuild", params={"partitions": of})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "partitions"
