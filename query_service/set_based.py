"""Writing many rows at once: one statement, one array per column; or COPY. A row has a value for each column, in the table's order."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, JSON, Column, Table, bindparam, delete, func, select, tuple_
from sqlalchemy import column as make_column
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert

from query_service.tables import SCHEMA


async def upsert(connection: AsyncConnection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Write rows by primary key in one statement; a row that exists is replaced."""
    await connection.execute(_upsert(table), _arrays(table, rows))


async def add(connection: AsyncConnection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Add rows to those with the same primary key, column by column; one that comes to zero in all of them goes."""
    keys = len(table.primary_key.columns)
    sums = await connection.execute(_add(table), _arrays(table, rows))
    if emptied := [tuple(row[:keys]) for row in sums if not any(row[keys:])]:
        await connection.execute(delete(table).where(tuple_(*table.primary_key.columns).in_(emptied)))


async def copy(connection: AsyncConnection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Write new rows by COPY."""
    raw: Any = (await connection.get_raw_connection()).driver_connection
    as_text = [number for number, column in enumerate(table.c) if isinstance(column.type, JSON)]
    records = [_with_text(row, as_text) for row in rows] if as_text else rows
    columns = [column.name for column in table.c]
    await raw.copy_records_to_table(table.name, schema_name=schema_of(connection), columns=columns, records=records)


def schema_of(connection: AsyncConnection) -> str:
    """Give the schema that the read model's tables stand for on this connection."""
    options: Mapping[str, Any] = connection.sync_connection.get_execution_options()  # type: ignore[union-attr]
    schema: str = options.get("schema_translate_map", {}).get(SCHEMA, SCHEMA)
    return schema


@cache
def _upsert(table: Table) -> Insert:
    statement = _insert(table)
    replaced = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=replaced)


@cache
def _add(table: Table) -> ReturningInsert[Any]:
    statement = _insert(table)
    sums = {column.name: column + statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=sums).returning(
        *table.c
    )


def _insert(table: Table) -> Insert:
    """Make the INSERT that takes one array per column."""
    arrays = [bindparam(_array_name(column), type_=ARRAY(column.type)) for column in table.c]
    columns = (make_column(column.name, column.type) for column in table.c)
    rows = func.unnest(*arrays).table_valued(*columns).render_derived()
    return insert(table).from_select(list(table.c), select(*(rows.c[column.name] for column in table.c)))


def _arrays(table: Table, rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    return {_array_name(column): list(values) for column, values in zip(table.c, zip(*rows, strict=True), strict=True)}


def _array_name(column: "Column[Any]") -> str:
    return f"{column.name}_values"


def _with_text(row: Sequence[Any], numbers: Sequence[int]) -> list[Any]:
    values = list(row)
    for number in numbers:
        values[number] = None if values[number] is None else json.dumps(values[number])
    return values
