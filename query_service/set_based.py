"""Writing many rows at once: one statement, one array per column; or COPY. A row has a value for each column, in the table's order.

The driver itself runs what is here: over a small batch, SQLAlchemy's execution would take longer than PostgreSQL's. So values
are what the driver takes for a column's type, but for documents, which are objects; None is NULL there too.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, JSON, ClauseElement, Table, bindparam, delete, func, select, tuple_
from sqlalchemy import column as make_column
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.tables import SCHEMA
from shared.driver import DIALECT

_NOTHING = select(1)


async def upsert(connection: AsyncConnection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Write rows by primary key in one statement; a row that exists is replaced."""
    await _fetch(connection, _upsert(table, schema_of(connection)), table, rows)


async def add(connection: AsyncConnection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Add rows to those with the same primary key, column by column; one that comes to zero in all of them goes."""
    keys = len(table.primary_key.columns)
    sums = await _fetch(connection, _add(table, schema_of(connection)), table, rows)
    if emptied := [tuple(row[:keys]) for row in sums if not any(row[keys:])]:
        await connection.execute(delete(table).where(tuple_(*table.primary_key.columns).in_(emptied)))


async def copy(connection: AsyncConnection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Write new rows by COPY."""
    driver, columns = await _driver(connection), [column.name for column in table.c]
    await driver.copy_records_to_table(
        table.name, schema_name=schema_of(connection), columns=columns, records=_as_sent(table, rows)
    )


def schema_of(connection: AsyncConnection) -> str:
    """Give the schema that the read model's tables stand for on this connection."""
    options: Mapping[str, Any] = connection.sync_connection.get_execution_options()  # type: ignore[union-attr]
    schema: str = options.get("schema_translate_map", {}).get(SCHEMA, SCHEMA)
    return schema


@cache
def _upsert(table: Table, schema: str) -> str:
    statement = _insert(table)
    replaced = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    keys = list(table.primary_key.columns)
    return _text(statement.on_conflict_do_update(index_elements=keys, set_=replaced), schema)


@cache
def _add(table: Table, schema: str) -> str:
    statement = _insert(table)
    sums = {column.name: column + statement.excluded[column.name] for column in table.c if not column.primary_key}
    keys = list(table.primary_key.columns)
    adding = statement.on_conflict_do_update(index_elements=keys, set_=sums)
    return _text(adding.returning(*table.c), schema)


def _insert(table: Table) -> Insert:
    """Make the INSERT that takes one array per column."""
    arrays = [bindparam(column.name, type_=ARRAY(column.type)) for column in table.c]
    columns = (make_column(column.name, column.type) for column in table.c)
    rows = func.unnest(*arrays).table_valued(*columns).render_derived()
    return insert(table).from_select(list(table.c), select(*(rows.c[column.name] for column in table.c)))


def _text(statement: ClauseElement, schema: str) -> str:
    """Give a statement as the driver takes it, its tables in this schema, its parameters in the order of their table's columns."""
    return str(statement.compile(dialect=DIALECT, schema_translate_map={SCHEMA: schema}, render_schema_translate=True))


async def _fetch(
    connection: AsyncConnection, statement: str, table: Table, rows: Sequence[Sequence[Any]]
) -> Sequence[Sequence[Any]]:
    arrays = [array for _, array in zip(table.c, zip(*_as_sent(table, rows), strict=True), strict=True)]
    found: Sequence[Sequence[Any]] = await (await _driver(connection)).fetch(statement, *arrays)
    return found


async def _driver(connection: AsyncConnection) -> Any:
    """Give the driver's connection, in the transaction that is SQLAlchemy's, which begins one no sooner than it has to."""
    driver: Any = (await connection.get_raw_connection()).driver_connection
    if not driver.is_in_transaction():
        await connection.execute(_NOTHING)
    return driver


def _as_sent(table: Table, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """Give rows as the driver takes them: documents as text."""
    documents = [number for number, column in enumerate(table.c) if isinstance(column.type, JSON)]
    return [_with_text(row, documents) for row in rows] if documents else rows


def _with_text(row: Sequence[Any], documents: Sequence[int]) -> Sequence[Any]:
    values = list(row)
    for number in documents:
        values[number] = None if values[number] is None else json.dumps(values[number])
    return values
