"""Snapshots are saved in the background; what waits is bounded (I10), and failing to save one hurts nobody."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from command_service.snapshot_taker import SnapshotTaker
from command_service.snapshots import Snapshot, Stored
from shared.errors import DatabaseUnavailable
from shared.event_log.events import StreamId, Version
from tests.support.events import a_stream


class Saved:
    """A snapshot store that waits for a gate and fails as told."""

    def __init__(self) -> None:
        self.batches: list[list[Snapshot]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.errors: list[Exception] = []

    async def load(self, stream: StreamId, state_schema_version: int) -> Stored:
        raise NotImplementedError

    async def save(self, snapshots: Sequence[Snapshot]) -> None:
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop()
        self.batches.append(list(snapshots))


@asynccontextmanager
async def running(taker: SnapshotTaker) -> AsyncIterator[None]:
    task = asyncio.create_task(taker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def settle() -> None:
    """Let the taker come as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


def a_snapshot(stream: StreamId | None = None, version: int = 100, size: int = 10) -> Snapshot:
    return Snapshot(stream or a_stream(), Version(version), b"x" * size, 1)


async def test_what_is_taken_is_saved() -> None:
    store, one, two = Saved(), a_snapshot(), a_snapshot()
    taker = SnapshotTaker(store)
    async with running(taker):
        taker.take(one)
        await settle()
        taker.take(two)
        await settle()
    assert store.batches == [[one], [two]]


async def test_what_comes_meanwhile_is_saved_together_the_newest_of_each_stream() -> None:
    store, stream = Saved(), a_stream()
    taker = SnapshotTaker(store)
    store.gate.clear()
    async with running(taker):
        taker.take(first := a_snapshot())
        await settle()
        for version in (100, 200, 300):
            taker.take(a_snapshot(stream, version))
        taker.take(other := a_snapshot())
        store.gate.set()
        await settle()
    assert store.batches == [[first], [a_snapshot(stream, 300), other]]


async def test_what_waits_is_bounded_in_bytes() -> None:
    store = Saved()
    taker = SnapshotTaker(store, max_bytes=100)
    first, second = a_snapshot(size=60), a_snapshot(size=40)
    for snapshot in (first, second, a_snapshot(size=1)):
        taker.take(snapshot)
    smaller = a_snapshot(first.stream, 200, size=50)
    taker.take(smaller)
    taker.take(last := a_snapshot(size=10))
    async with running(taker):
        await settle()
        taker.take(whole := a_snapshot(size=100))
        await settle()
    assert store.batches == [[smaller, second, last], [whole]]


async def test_a_database_that_is_away_costs_the_snapshot_only(caplog: pytest.LogCaptureFixture) -> None:
    store = Saved()
    store.errors.append(DatabaseUnavailable("away"))
    taker = SnapshotTaker(store)
    async with running(taker):
        with caplog.at_level(logging.WARNING):
            taker.take(a_snapshot())
            await settle()
        assert "1 snapshots were not saved: away" in caplog.text
        taker.take(one := a_snapshot())
        await settle()
    assert store.batches == [[one]]
