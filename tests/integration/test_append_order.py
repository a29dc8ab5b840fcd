"""I2 and I4: positions are gapless and in commit order, so that a follower of `position > checkpoint` misses nothing."""

import asyncio
from time import monotonic

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from command_service.event_store import Appended, Commit
from command_service.postgres_store import PostgresEventStore, call_append
from shared.event_log.events import Position, Version
from shared.event_log.tables import events
from tests.support.databases import connected
from tests.support.events import a_commit
from tests.support.waiting import wait_until

OTHERS = 20


async def test_a_follower_misses_nothing_while_one_append_is_held_open(database: str, engine: AsyncEngine) -> None:
    store = PostgresEventStore(engine)
    seen: list[int] = []

    async def follow() -> None:
        while len(seen) < OTHERS + 2:
            page = await store.read_all(Position(seen[-1] if seen else 0), 7)
            seen.extend(event.position for event in page)
            await asyncio.sleep(0)

    await store.append([a_commit()])
    follower = asyncio.create_task(follow())
    async with connected(database, autocommit=False) as slow, connected(database, OTHERS) as others:
        async with slow.begin() as held:
            await _append(held, a_commit())
            appends = [asyncio.create_task(PostgresEventStore(others).append([a_commit()])) for _ in range(OTHERS)]
            await wait_until(lambda: _waiting_for_lock(engine, OTHERS), "the other appends wait for the held one")
            assert seen == [1]
        outcomes = [outcome for (outcome,) in await asyncio.gather(*appends)]
    async with asyncio.timeout(30):
        await follower
    assert seen == list(range(1, OTHERS + 3))
    assert all(isinstance(outcome, Appended) for outcome in outcomes)


async def test_an_append_tells_how_long_it_waited_for_its_turn(database: str, engine: AsyncEngine) -> None:
    waits: list[float] = []
    store = PostgresEventStore(engine, waited=waits.append)
    await store.append([a_commit(), a_commit()])
    (alone,) = waits
    async with connected(database, autocommit=False) as slow, slow.begin() as held:
        await _append(held, a_commit())
        waiting = asyncio.create_task(store.append([a_commit()]))
        await wait_until(lambda: _waiting_for_lock(slow, 1), "the other append waits for the held one")
        since = monotonic()
        for _ in range(100):
            await held.execute(text("SELECT 1"))
        until = monotonic()
    await waiting
    assert 0 <= alone < until - since <= waits[1]


async def test_an_append_that_is_rolled_back_leaves_no_gap(database: str, engine: AsyncEngine) -> None:
    store = PostgresEventStore(engine)
    async with connected(database, autocommit=False) as slow, slow.connect() as held:
        await _append(held, a_commit(), a_commit())
        await held.rollback()
    assert await store.append([a_commit()]) == [Appended(Version(1), Position(1), Position(1))]


async def test_many_writers_leave_gapless_positions_in_commit_order(database: str, engine: AsyncEngine) -> None:
    async with connected(database, 8) as pool:
        store = PostgresEventStore(pool)
        await asyncio.gather(*(store.append([a_commit(), a_commit()]) for _ in range(100)))
    async with engine.connect() as connection:
        rows = (
            await connection.execute(select(events.c.position, events.c.recorded_at).order_by(events.c.position))
        ).all()
    assert [row.position for row in rows] == list(range(1, 201))
    assert [row.recorded_at for row in rows] == sorted(row.recorded_at for row in rows)


async def _append(connection: AsyncConnection, *commits: Commit) -> None:
    """Append in a transaction that is left open."""
    await connection.execute(text("SELECT 1"))
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    await call_append(driver, commits)


async def _waiting_for_lock(engine: AsyncEngine, count: int) -> bool:
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    async with engine.connect() as connection:
        return bool(await connection.scalar(text(query)) == count)
