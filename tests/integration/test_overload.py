"""I10 and I6: a full queue refuses at once; what is refused is not in the log later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import command_service, query_service
from tests.support.databases import connected
from tests.support.http import assert_problem, events, get, place
from tests.support.waiting import wait_until


@asynccontextmanager
async def appends_held(database: str) -> AsyncIterator[None]:
    """Keep the lock that every append takes."""
    async with connected(database, 1, autocommit=False) as engine, engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(7234081526114)"))
        yield


async def test_a_full_queue_answers_overloaded_at_once(database: str, engine: AsyncEngine) -> None:
    async with command_service(database, queue_commits=3) as commands:
        async with appends_held(database):
            first = asyncio.create_task(place(commands))
            await wait_until(lambda: append_waits(engine), "an append waits for the lock")
            tasks = [asyncio.create_task(place(commands)) for _ in range(10)]
            refused = await _finished(tasks, 7)
            for answer in refused:
                assert_problem(answer, 503, "overloaded")
        answers = await asyncio.gather(first, *tasks)
    assert sorted(answer.status_code for answer in answers) == [201] * 4 + [503] * 7
    assert len(await events(engine)) == 4


async def test_an_append_that_waits_too_long_is_ended_by_postgresql_for_certain(
    database: str, engine: AsyncEngine
) -> None:
    async with command_service(database, command_deadline=6) as commands:
        async with appends_held(database):
            assert_problem(await place(commands, **{"Idempotency-Key": "k"}), 503, "unavailable")
            assert not await append_waits(engine)
        assert (await place(commands, **{"Idempotency-Key": "k"})).status_code == 201
    assert len(await events(engine)) == 1


async def test_a_read_is_answered_by_its_deadline_and_a_wish_to_wait_comes_on_top(database: str) -> None:
    async with query_service(database, read_deadline=2) as queries:
        async with connected(database, 1, autocommit=False) as owner, owner.begin() as connection:
            await connection.execute(text("LOCK TABLE read_model.checkpoints IN ACCESS EXCLUSIVE MODE"))
            assert_problem(await queries.get("/orders"), 503, "overloaded")
        patient = asyncio.create_task(get(queries, "/orders", 1))
        async with command_service(database) as commands:
            async with appends_held(database):
                placed = asyncio.create_task(place(commands))
                assert_problem(await queries.get("/orders", headers={"Event-Position": "1"}), 503, "read-model-behind")
                assert not patient.done()
            await placed
        assert (await patient).status_code == 200


async def _finished(tasks: "list[asyncio.Task[httpx.Response]]", count: int) -> list[httpx.Response]:
    done: list[httpx.Response] = []
    for task in asyncio.as_completed(tasks):
        done.append(await task)
        if len(done) == count:
            break
    return done


async def append_waits(engine: AsyncEngine) -> bool:
    query = """
    SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()
    """
    async with engine.connect() as connection:
        return bool(await connection.scalar(text(query)))
