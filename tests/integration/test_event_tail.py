"""The one tail of the log: it does not outrun those who follow it, and is not held up by a few of them."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from query_service import event_tail
from query_service.event_ring import EventRing
from query_service.event_tail import EventTail
from query_service.postgres_pages import PostgresEventPages
from shared.event_log.events import Position
from shared.orders.events import EVENTS
from tests.support.orders import append_orders
from tests.support.waiting import wait_until


@dataclass(eq=False)
class At:
    """A follower that stays where it is put."""

    cursor: Position = Position(0)

    def hurry(self) -> None:
        raise AssertionError("nothing ends here")


async def reached(tail: EventTail, position: int) -> bool:
    return tail.ring.end == position


async def test_the_tail_waits_for_those_whom_it_would_outrun_but_not_for_a_few(
    engine: AsyncEngine, store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_tail, "_PATIENCE", 3600.0)
    pages = PostgresEventPages(engine, ["order"])
    tail = EventTail(pages, EVENTS, EventRing(1_500_000), max_followers=20, poll_interval=0.05)
    followers = [At() for _ in range(20)]
    with ExitStack() as stack:
        for follower in followers:
            stack.enter_context(tail.followed_by(follower))
        running = asyncio.create_task(tail.run())
        await wait_until(lambda: reached(tail, 0), "the ring has begun")
        head = await append_orders(store, 800)

        async def waits() -> bool:
            return bool(tail._taken._waiters)

        await wait_until(waits, "the tail waits")
        assert tail.ring.start == 0
        assert not await reached(tail, head)
        for follower in followers[2:]:
            follower.cursor = Position(head)
            tail.took()
        await wait_until(lambda: reached(tail, head), "the tail has gone on without the two")
        assert tail.ring.is_past(Position(0))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_the_tail_does_not_wait_for_ever(engine: AsyncEngine, store: PostgresEventStore) -> None:
    tail = EventTail(
        PostgresEventPages(engine, ["order"]), EVENTS, EventRing(1_500_000), max_followers=1, poll_interval=0.05
    )
    with tail.followed_by(At()):
        running = asyncio.create_task(tail.run())
        await wait_until(lambda: reached(tail, 0), "the ring has begun")
        head = await append_orders(store, 800)
        await wait_until(lambda: reached(tail, head), "the tail has gone on")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
