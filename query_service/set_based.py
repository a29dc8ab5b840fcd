"""Writing many rows at once: one statement, one array per column; or COPY. A row has a value for each column, in the table's order.

The driver itself runs what is here: over a small batch, SQLAlchemy's execution would take longer than PostgreSQL's. So values
are what the driver takes for a column's type, but for documents, which are objects; None is NULL there too.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    ClauseElement,
    Table,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy import column as make_column
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.tables import SCHEMA
from query_service.together import BEFORE, Write, send
from shared.driver import DIALECT, driver_of


async def upsert(connection: AsyncConnection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Write rows by primary key in one statement; a row that exists is replaced."""
    schema = schema_of(connection)
    await send(connection, Write(f"{schema}.{table.name}", _upsert(table, schema), _arrays(table, rows)))


async def add(connection: AsyncConnection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Add rows to those with the same primary key, column by column; one that comes to zero in all of them goes."""
    schema, arrays = schema_of(connection), _arrays(table, rows)
    cleanup = (_delete_empty(table, schema), arrays[: len(table.primary_key.columns)])
    await send(
        connection,
        Write(f"{schema}.{table.name}", _add(table, schema), arrays, emptied=_is_empty(table), cleanup=cleanup),
    )


async def copy(connection: AsyncConnection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Write new rows by COPY."""
    columns, schema = [column.name for column in table.c], schema_of(connection)
    async with driver_of(connection) as driver:
        await driver.copy_records_to_table(
            table.name, schema_name=schema, columns=columns, records=_as_sent(table, rows)
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
    replacing = statement.on_conflict_do_update(index_elements=keys, set_=replaced)
    return text_of(replacing.returning(literal_column("1")), schema)


@cache
def _add(table: Table, schema: str) -> str:
    statement = _insert(table)
    sums = {column.name: column + statement.excluded[column.name] for column in table.c if not column.primary_key}
    keys = list(table.primary_key.columns)
    adding = statement.on_conflict_do_update(index_elements=keys, set_=sums)
    return text_of(adding.returning(*table.c), schema)


@cache
def _delete_empty(table: Table, schema: str) -> str:
    keys = table.primary_key.columns
    those = select(*(func.unnest(bindparam(key.name, type_=ARRAY(key.type))) for key in keys))
    empty = (column == literal_column("0") for column in table.c if not column.primary_key)
    return text_of(delete(table).where(tuple_(*keys).in_(those), *empty), schema)


@cache
def _is_empty(table: Table) -> str:
    """Make the condition that all sums of a row, by their names, are zero."""
    return " AND ".join(f"{column.name} = 0" for column in table.c if not column.primary_key)


def _insert(table: Table) -> Insert:
    """Make the INSERT that takes one array per column."""
    arrays = [bindparam(column.name, type_=ARRAY(column.type)) for column in table.c]
    columns = (make_column(column.name, column.type) for column in table.c)
    rows = func.unnest(*arrays).table_valued(*columns).render_derived()
    taken = select(*(rows.c[column.name] for column in table.c)).where(BEFORE)
    return insert(table).from_select(list(table.c), taken)


def text_of(statement: ClauseElement, schema: str) -> str:
    """Give a statement as the driver takes it, its tables in this schema, its parameters in the order of their table's columns."""
    return str(statement.compile(dialect=DIALECT, schema_translate_map={SCHEMA: schema}, render_schema_translate=True))


def _arrays(table: Table, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """Give one array per column. Raises `ValueError` where a row has not so many values."""
    arrays = list(zip(*_as_sent(table, rows), strict=True))
    if len(arrays) != len(table.c):
        raise ValueError(f"a row of {table.name} has {len(arrays)} values, not {len(table.c)}")
    return arrays


def _as_sent(table: Table, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """Give rows as the driver takes them: documents as text."""
    documents = _documents(table)
    return [_with_text(row, documents) for row in rows] if documents else rows


@cache
def _documents(table: Table) -> Sequence[int]:
    return [number for number, column in enumerate(table.c) if isinstance(column.type, JSON)]


def _with_text(row: Sequence[Any], documents: Sequence[int]) -> Sequence[Any]:
    values = list(row)
    for number in documents:
        values[number] = None if values[number] is None else json.dumps(values[number])
    return values
