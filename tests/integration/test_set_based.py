"""Rows are written by the driver itself, in the transaction and the generation of SQLAlchemy's connection. I5."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import Table, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service import checkpoints
from query_service.generations import create, create_indexes, on_generation
from query_service.isolation import describe, is_poison
from query_service.orders.aggregate import ORDERS
from query_service.orders.tables import order_details, order_items, order_totals, sales_by_day
from query_service.set_based import add, copy, upsert
from query_service.together import together
from shared.database import translate_errors
from shared.errors import DatabaseUnavailable
from tests.support.databases import connected

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


TRACE = [
    "CREATE TABLE public.written (number serial, name text)",
    """
    CREATE FUNCTION public.trace() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO public.written (name) VALUES (TG_TABLE_NAME); RETURN NEW; END'
    """,
]


async def test_what_is_written_together_is_done_in_its_order(read_engine: AsyncEngine) -> None:
    """Else those who write at once could deadlock: PostgreSQL itself promises no order."""
    order_id = uuid4()
    writes: list[tuple[Write, Table, Sequence[Any]]] = [
        (upsert, order_items, (order_id, 1, "Tea", 1, Decimal("2.00"), Decimal("2.00"))),
        (add, order_totals, ("pending", 1, Decimal("2.00"))),
        (upsert, order_details, details()),
        (add, sales_by_day, (date(2026, 1, 1), 1, Decimal("1.00"), 0, Decimal(0))),
    ]
    async with read_engine.begin() as connection:
        for statement in TRACE:
            await connection.execute(text(statement))
        for _, table, _ in writes:
            trigger = f"CREATE TRIGGER trace BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION public.trace()"
            await connection.execute(text(trigger))
        for those in (writes, writes[::-1]):
            async with together(connection):
                for write, table, row in those:
                    await write(connection, table, [row])
        found = (await connection.execute(text("SELECT name FROM public.written ORDER BY number"))).scalars().all()
    names = [table.name for _, table, _ in writes]
    assert list(found) == [*names, *names[::-1]]


async def test_a_connection_that_is_lost_is_told_of_and_given_up(engine: AsyncEngine, database: str) -> None:
    end = text(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    async def others_end() -> None:
        async with engine.connect() as connection:
            await connection.execute(end)

    async with connected(database, 1, autocommit=False) as read:

        async def lock() -> None:
            with translate_errors():
                async with read.begin() as connection:
                    await checkpoints.lock(connection, ORDERS.projections)

        await lock()
        await others_end()
        with pytest.raises(DatabaseUnavailable):
            await lock()
        await lock()
        # To what was a primary and has become a standby.
        async with read.begin() as connection:
            await connection.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
        with pytest.raises(DatabaseUnavailable):
            await lock()
        await lock()
        # In the middle of a batch.
        with pytest.raises(DatabaseUnavailable), translate_errors():
            async with read.begin() as connection, together(connection):
                await upsert(connection, order_details, [details()])
                await others_end()
                await connection.execute(select(1))
        await lock()
    assert await count(engine, order_details) == 0
