"""Rows are written by the driver itself, in the transaction and the generation of SQLAlchemy's connection. I5."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service.generations import create, create_indexes, on_generation
from query_service.isolation import describe, is_poison
from query_service.orders.tables import order_details, order_totals, sales_by_day
from query_service.set_based import add, copy, upsert
from query_service.together import together

Write = Callable[[AsyncConnection, Table, Sequence[Sequence[Any]]], Awaitable[None]]

ADDRESS = {"line": "1-1 Chiyoda", "quote": '"\\', "nothing": None}


class GivenUp(Exception):
    """What ends a transaction here."""


def details(address: object = ADDRESS) -> Sequence[Any]:
    return (uuid4(), address, None, "T-1", None)


async def count(engine: AsyncEngine, table: Table) -> int | None:
    async with engine.connect() as connection:
        found: int | None = await connection.scalar(select(func.count()).select_from(table))
    return found


@pytest.mark.parametrize(
    ("write", "table", "row"),
    [
        (upsert, order_details, details()),
        (add, order_totals, ("pending", 1, Decimal("2.00"))),
        (copy, order_details, details()),
    ],
)
async def test_what_is_written_first_goes_with_its_transaction(
    read_engine: AsyncEngine, write: Write, table: Table, row: Sequence[Any]
) -> None:
    with pytest.raises(GivenUp):
        async with read_engine.begin() as connection:
            await write(connection, table, [row])
            raise GivenUp
    assert await count(read_engine, table) == 0


async def test_documents_are_kept_and_replaced(read_engine: AsyncEngine) -> None:
    (order_id, *_), without = row, other = details(), details(None)
    async with read_engine.begin() as connection:
        await upsert(connection, order_details, [row, without])
        await upsert(connection, order_details, [(order_id, {"line": "elsewhere"}, "Yamato", None, None), other])
        found = (await connection.execute(select(order_details))).all()
    kept = {one.order_id: tuple(one[1:]) for one in found}
    assert kept == {
        order_id: ({"line": "elsewhere"}, "Yamato", None, None),
        without[0]: (None, None, "T-1", None),
        other[0]: (None, None, "T-1", None),
    }


async def test_tables_are_of_the_connections_generation(read_engine: AsyncEngine) -> None:
    async with read_engine.begin() as connection:
        await create(connection, [order_totals])
        await create_indexes(connection, [order_totals])
        await connection.execution_options(**on_generation("next"))
        await add(connection, order_totals, [("pending", 1, Decimal("2.00")), ("shipped", 1, Decimal("3.00"))])
        await add(connection, order_totals, [("pending", -1, Decimal("-2.00")), ("shipped", 1, Decimal("0.50"))])
        assert [tuple(map(str, one)) for one in await connection.execute(select(order_totals))] == [
            ("shipped", "2", "3.50")
        ]
        await connection.execution_options(**on_generation("live"))
        assert (await connection.execute(select(order_totals))).all() == []


@pytest.mark.parametrize(
    ("table", "row", "said"),
    [
        (order_totals, ("pending", 2**70, Decimal(0)), "a value does not fit its column"),
        (order_totals, ("pending", 1, Decimal(10) ** 30), "PostgreSQL refuses it: numeric field overflow"),
        (order_totals, ("pending", None, Decimal(0)), "PostgreSQL refuses it: null value in column"),
        (order_details, details()[:3], "ValueError: a row of order_details has 3 values, not 5"),
    ],
)
async def test_a_row_that_cannot_be_written_is_its_events_fault_and_told_without_its_data(
    read_engine: AsyncEngine, table: Table, row: Sequence[Any], said: str
) -> None:
    with pytest.raises(Exception) as caught:
        async with read_engine.begin() as connection:
            await upsert(connection, table, [row])
    assert isinstance(caught.value, Exception)
    assert is_poison(caught.value)
    assert describe(caught.value).startswith(said)
    assert "\n" not in describe(caught.value)


def test_the_driver_at_fault_is_no_events_fault() -> None:
    assert not is_poison(asyncpg.ProtocolError("an unexpected message"))


async def test_what_is_written_together_is_one_statement_in_its_order(read_engine: AsyncEngine) -> None:
    row, other = details(), details(None)
    async with read_engine.begin() as connection:
        await add(connection, order_totals, [("pending", 1, Decimal("2.00")), ("shipped", 1, Decimal("3.00"))])
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        sent: list[str] = []
        driver.add_query_logger(lambda query: sent.append(query.query))
        async with together(connection):
            await upsert(connection, order_details, [row])
            await add(connection, order_totals, [("pending", -1, Decimal("-2.00")), ("shipped", 1, Decimal("0.50"))])
            assert await connection.scalar(select(func.count()).select_from(order_details)) == 0, "nothing is sent yet"
        totals = [tuple(map(str, one)) for one in await connection.execute(select(order_totals))]
        assert totals == [("shipped", "2", "3.50")], "the sums are right, and the one that came to nothing is gone"
        assert await connection.scalar(select(func.count()).select_from(order_details)) == 1
        first, removed = (one for one in sent if "order_" in one)
        assert first.index("order_details") < first.index("order_totals")
        assert removed.startswith("DELETE")
        # The same row twice: one statement could not.
        async with together(connection):
            await upsert(connection, order_details, [row])
            await upsert(connection, order_details, [(row[0], None, "Yamato", None, None), other])
        assert (
            await connection.scalar(select(order_details.c.carrier).where(order_details.c.order_id == row[0]))
            == "Yamato"
        )
        # What fails in between is not sent.
        with pytest.raises(GivenUp):
            async with together(connection):
                await upsert(connection, order_details, [details()])
                raise GivenUp
        assert await connection.scalar(select(func.count()).select_from(order_details)) == 2


async def test_writers_of_the_same_rows_wait_for_one_another_in_one_order(read_engine: AsyncEngine) -> None:
    rows = [("pending", 1, Decimal("1.00")), ("shipped", 1, Decimal("1.00"))]
    days = [(date(2026, 1, day), 1, Decimal("1.00"), 0, Decimal(0)) for day in (1, 2)]

    async def write() -> None:
        for _ in range(20):
            async with read_engine.begin() as connection, together(connection):
                await add(connection, order_totals, rows)
                await add(connection, sales_by_day, days)

    async def write_apart() -> None:
        for _ in range(20):
            async with read_engine.begin() as connection:
                await add(connection, order_totals, rows)
                await add(connection, sales_by_day, days)

    await asyncio.gather(write(), write_apart(), write(), write_apart())
    async with read_engine.connect() as connection:
        counts = (await connection.execute(select(order_totals.c.count))).scalars().all()
        placed = (await connection.execute(select(sales_by_day.c.placed_count))).scalars().all()
    assert (list(counts), list(placed)) == ([80, 80], [80, 80])
