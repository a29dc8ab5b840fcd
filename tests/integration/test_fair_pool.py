"""Whoever waits longest for a connection is served first."""

import asyncio

import pytest
from sqlalchemy import text

from shared.fair_pool import FairQueue
from tests.support.databases import connected


async def test_what_is_put_goes_to_whoever_waits_longest_not_to_a_newcomer() -> None:
    queue: FairQueue[str] = FairQueue()
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.put_nowait("one")
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()
    queue.put_nowait("two")
    assert await asyncio.gather(*waiting) == ["one", "two"]
    queue.put_nowait("three")
    assert (await queue.get(), queue.empty()) == ("three", True)


async def test_one_who_gives_up_leaves_it_to_the_next() -> None:
    queue: FairQueue[str] = FairQueue()
    first, second, third = (asyncio.create_task(queue.get()) for _ in range(3))
    await asyncio.sleep(0)
    first.cancel()
    queue.put_nowait("one")
    second.cancel()
    assert await third == "one"
    queue.put_nowait("two")
    assert queue.get_nowait() == "two"
    assert (first.cancelled(), second.cancelled()) == (True, True)


async def test_more_requests_than_connections_take_turns(database: str) -> None:
    asked: list[tuple[int, int]] = []
    served: list[tuple[int, int]] = []

    async def ask(number: int) -> None:
        for turn in range(20):
            asked.append((number, turn))
            async with engine.connect() as connection:
                served.append((number, turn))
                await connection.execute(text("SELECT 1"))

    async with connected(database, 2) as engine:
        async with engine.connect(), engine.connect():
            pass  # both are there from the beginning
        await asyncio.gather(*(ask(number) for number in range(10)))
    assert served == asked
