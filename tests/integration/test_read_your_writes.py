"""I9: a read that names a position never shows a state older than it; waiting is bounded (I10)."""

import asyncio
import time
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from shared.orders.events import OrderConfirmed
from tests.support.apps import ORDER, command_service, query_service
from tests.support.databases import connected
from tests.support.http import PATIENT, assert_problem, get, place
from tests.support.orders import commit, placed
from tests.support.waiting import wait_until


async def test_a_read_waits_for_its_position(http: httpx.AsyncClient, store: PostgresEventStore) -> None:
    """I9."""
    order_id = uuid4()
    waiting = asyncio.create_task(get(http, f"/orders/{order_id}", 1))
    by_parameter = asyncio.create_task(http.get(f"/orders/{order_id}", params={"min_position": 1}, headers=PATIENT))
    await asyncio.sleep(0)
    await store.append([commit(order_id, 0, placed())])
    for answer in (await waiting, await by_parameter):
        assert answer.status_code == 200
        assert int(answer.headers["Event-Position"]) >= 1


async def test_a_read_of_a_position_that_does_not_come_is_told_so(http: httpx.AsyncClient) -> None:
    started = time.monotonic()
    answer = await http.get("/orders", headers={"Event-Position": "7", "Prefer": "respond-async, wait=1"})
    problem = assert_problem(answer, 503, "read-model-behind")
    assert (problem["position"], problem["min_position"]) == (0, 7)
    assert time.monotonic() - started >= 0.9


async def test_reads_that_wait_are_bounded(database: str) -> None:
    """I10."""
    async with query_service(database, max_waiting_reads=3) as http:
        wait = {"Event-Position": "1", "Prefer": "wait=1"}
        answers = await asyncio.gather(*(http.get("/orders", headers=wait) for _ in range(8)))
        slugs = sorted(answer.json()["type"].rpartition(":")[2] for answer in answers)
    assert slugs == ["overloaded"] * 5 + ["read-model-behind"] * 3


async def test_read_your_writes_holds_under_load(database: str) -> None:
    """I9: what a command's answer says is in every later read that names its position."""
    async with command_service(database) as commands, query_service(database) as http:

        async def client() -> None:
            for _ in range(5):
                answer = await commands.post("/orders", json=ORDER)
                order_id = answer.json()["order_id"]
                for verb in ("confirm", "ship"):
                    answer = await commands.post(f"/orders/{order_id}/{verb}")
                    position = int(answer.headers["Event-Position"])
                    read = await get(http, f"/orders/{order_id}", position)
                    assert read.json()["version"] >= answer.json()["version"]
                    assert int(read.headers["Event-Position"]) >= position

        await asyncio.gather(*(client() for _ in range(10)))


@pytest.mark.parametrize("position", ["-1", "x", "1.5", "9" * 30, ""])
async def test_a_bad_event_position_is_refused(http: httpx.AsyncClient, position: str) -> None:
    answer = await http.get("/orders", headers={"Event-Position": position})
    assert assert_problem(answer, 422, "validation-failed")["errors"][0]["pointer"] == "event-position"


@pytest.mark.parametrize(
    "path", ["/orders/not-a-uuid", "/orders?limit=9999", "/statistics?x=1", f"/orders/{UUID(int=1)}?version=0"]
)
async def test_a_request_that_is_not_valid_is_refused_without_waiting(http: httpx.AsyncClient, path: str) -> None:
    async with asyncio.timeout(10):
        answer = await http.get(path, headers={"Event-Position": "999", "Prefer": "wait=30"})
    assert_problem(answer, 422, "validation-failed")


async def test_a_read_model_that_was_set_back_is_found_out(database: str, engine: AsyncEngine) -> None:
    """I9: as after a restore, or a failover to a replica that lags, while the service runs."""
    without_cache = query_service(database, poll_interval=60, answer_cache_bytes=0)
    async with command_service(database) as commands, without_cache as http:
        location = (await place(commands)).headers["Location"]
        await commands.post(f"{location}/confirm")
        assert (await get(http, location, 2)).json()["status"] == "confirmed"
        async with engine.connect() as connection:
            await connection.execute(text("UPDATE read_model.checkpoints SET position = 1"))
            await connection.execute(text("UPDATE read_model.order_summaries SET status = 'pending', version = 1"))
        for path in (location, "/orders", "/statistics", f"/orders/{uuid4()}"):
            answer = await http.get(path, headers={"Event-Position": "2"})
            assert_problem(answer, 503, "read-model-behind")
        assert (await http.get(location)).headers["Event-Position"] == "1"


async def test_an_order_as_it_was_is_not_older_than_wanted_either(database: str, http: httpx.AsyncClient) -> None:
    async with command_service(database) as commands:
        location = (await place(commands)).headers["Location"]
    for position, status in ((1, 200), (2, 503)):
        answer = await http.get(f"{location}?version=1", headers={"Event-Position": f"{position}"})
        assert answer.status_code == status


async def test_a_migration_under_a_running_service_is_no_error(database: str, engine: AsyncEngine) -> None:
    async with command_service(database) as commands, query_service(database) as http:
        location = (await place(commands)).headers["Location"]
        await get(http, location, 1)
        for _ in range(10):
            assert (await http.get("/orders")).status_code == 200
        async with engine.connect() as connection:
            change = "ALTER TABLE read_model.order_summaries ALTER COLUMN item_count TYPE bigint"
            await connection.execute(text(change))
        answers = await asyncio.gather(*(http.get("/orders") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}


async def test_of_two_positions_the_later_is_wanted_or_both_are_refused(http: httpx.AsyncClient) -> None:
    """I9."""
    for path in ("/orders", "/events"):
        answer = await http.get(path, headers=[("Event-Position", "0"), ("Event-Position", "99"), ("Prefer", "wait=0")])
        assert answer.status_code in {422, 503}, path
        answer = await http.get(f"{path}?min_position=99&min_position=0", headers={"Prefer": "wait=0"})
        assert answer.status_code in {422, 503}, path


async def test_every_prefer_header_is_read(http: httpx.AsyncClient) -> None:
    """RFC 7240, 2: they are one list."""
    started = time.monotonic()
    headers = [("Event-Position", "99"), ("Prefer", "respond-async"), ("Prefer", "wait=0")]
    assert (await http.get("/orders", headers=headers)).status_code == 503
    assert time.monotonic() - started < 1


async def test_log_routes_wait_for_a_position_too(http: httpx.AsyncClient, store: PostgresEventStore) -> None:
    """SPEC 7: it waits, else 503."""
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed())])
    waiting = [
        asyncio.create_task(http.get(path, headers={"Event-Position": "2", "Prefer": "wait=5"}))
        for path in ("/events", f"/orders/{order_id}/history", f"/orders/{order_id}?version=1")
    ]
    projected = http._transport.app.state.projected  # type: ignore[attr-defined]

    async def all_wait() -> bool:
        return bool(projected.waiting == 3)

    await wait_until(all_wait, "all three wait")
    await store.append([commit(order_id, 1, OrderConfirmed())])
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 3


async def test_an_answer_of_a_read_model_that_was_set_back_is_not_kept_as_of_now(
    database: str, engine: AsyncEngine, store: PostgresEventStore
) -> None:
    """I9: the same with answers from memory, in a service that has just started and knows no touches."""
    order_id = uuid4()
    path = f"/orders/{order_id}"
    await store.append([commit(order_id, 0, placed())])
    await store.append([commit(order_id, 1, OrderConfirmed())])
    async with query_service(database) as http:
        assert (await get(http, path, 2)).json()["status"] == "confirmed"

    async def listens() -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'daicho-listen-read' AND query LIKE 'LISTEN%'"
        async with engine.connect() as connection:
            return bool(await connection.scalar(text(query)))

    async with query_service(database, poll_interval=60) as http:
        await wait_until(listens, "it hears what other replicas do")
        await store.append([commit(uuid4(), 0, placed())])
        assert (await get(http, "/statistics", 3)).status_code == 200
        async with connected(database, 1, autocommit=False) as locking, locking.begin() as log:
            # A late notification would have the projector apply the events again.
            await log.execute(text("LOCK TABLE event_store.events"))
            async with engine.connect() as connection:
                await connection.execute(text("UPDATE read_model.checkpoints SET position = 1"))
                set_back = "UPDATE read_model.order_summaries SET status = 'pending', version = 1"
                await connection.execute(text(set_back))
            first = await http.get(path)
            assert (first.json()["status"], first.headers["Event-Position"]) == ("pending", "1")
            answer = await http.get(path, headers={"Event-Position": "2", "Prefer": "wait=0"})
            assert_problem(answer, 503, "read-model-behind")
