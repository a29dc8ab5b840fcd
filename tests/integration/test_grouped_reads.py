"""Concurrent reads of single aggregates share statements; each gets its own row, or its own failure."""

import asyncio
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import ARRAY, Select, Uuid, bindparam, func, literal, select
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.reading import rows_about
from shared import grouped_reads
from shared.driver import Record
from shared.errors import Overloaded
from shared.grouped_reads import GroupedReads
from tests.support.databases import connected
from tests.support.plans import statements


def unnested() -> Any:
    return func.unnest(bindparam("ids", type_=ARRAY(Uuid()))).label("about")


def echo() -> Select[Any]:
    return select(unnested(), func.txid_current().label("transaction"))


FAILING = select(unnested(), (literal(1) / func.length("")).label("nothing"))


def a_reader(engine: AsyncEngine) -> GroupedReads[Select[Any], Record]:
    return GroupedReads(partial(rows_about, engine))


async def test_each_gets_its_own_row_of_few_statements(engine: AsyncEngine) -> None:
    reads, statement = a_reader(engine), echo()
    with statements(engine) as run:
        await reads.fetch(statement, uuid4())
        assert len(run) == 1
        ids = [uuid4() for _ in range(120)]
        rows = await asyncio.gather(*(reads.fetch(statement, one) for one in (*ids, *ids)))
        assert [row.about for row in rows] == [*ids, *ids]
        # The first two at once, then fifty at a time.
        assert len(run) == 1 + 2 + 5


async def test_different_statements_take_turns(engine: AsyncEngine) -> None:
    reads, first, second = a_reader(engine), echo(), echo()
    many = [reads.fetch(first, uuid4()) for _ in range(300)]
    rows = await asyncio.gather(*many, reads.fetch(second, UUID(int=1)))
    behind = sum(row.transaction > rows[-1].transaction for row in rows)
    assert rows[-1].about == UUID(int=1)
    assert behind > 100


async def test_a_failure_is_of_those_who_shared_it(engine: AsyncEngine) -> None:
    reads = a_reader(engine)
    ids = [uuid4() for _ in range(10)]
    found = await asyncio.gather(
        *(reads.fetch(FAILING, one) for one in ids), *(reads.fetch(echo(), one) for one in ids), return_exceptions=True
    )
    assert all(isinstance(one, asyncpg.DivisionByZeroError) for one in found[:10])
    assert [one.about for one in found[10:]] == ids  # type: ignore[union-attr]


async def test_who_gives_up_takes_nobody_along(engine: AsyncEngine) -> None:
    reads, statement = a_reader(engine), echo()
    tasks = [asyncio.create_task(reads.fetch(statement, uuid4())) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in found] == [True, False] * 10
    assert (await reads.fetch(statement, UUID(int=2))).about == UUID(int=2)


async def test_too_many_are_refused_at_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """I10."""
    monkeypatch.setattr(grouped_reads, "_MOST_WAITING", 10)
    async with connected(database, 2) as engine:
        reads, statement = a_reader(engine), echo()
        found = await asyncio.gather(*(reads.fetch(statement, uuid4()) for _ in range(20)), return_exceptions=True)
        refused = [isinstance(one, Overloaded) for one in found]
        # Two were sent, ten wait.
        assert refused == [False] * 12 + [True] * 8
        await reads.fetch(statement, uuid4())
