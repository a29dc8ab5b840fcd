"""Projections that keep one row per aggregate, each written as a pure fold."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, Column, Table, bindparam, func, select
from sqlalchemy import column as make_column
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.projection import DecodedEvent, out_of_place

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Change(Generic[R]):
    """What a batch made of one row; `before` is None for a new one."""

    before: R | None
    after: R


Derive = Callable[[AsyncConnection, Sequence[Change[R]]], Awaitable[None]]
"""Brings a table that sums over rows up to date with their changes."""


@dataclass(frozen=True, slots=True)
class RowProjection(Generic[R]):
    """One row per aggregate: `fold` gives the row after an event, from the row before it (None: there is none).

    `row_type` is a dataclass with the table's columns as fields, the key, the aggregate's id, first. A batch
    loads the rows it touches, folds in memory, and writes each once: two statements, however long the batch.
    """

    name: str
    version: int
    event_types: frozenset[str]
    table: Table
    row_type: type[R]
    fold: Callable[[R | None, DecodedEvent], R]
    derived_tables: Sequence[Table] = ()
    derive: Derive[R] | None = None

    @property
    def tables(self) -> Sequence[Table]:
        """See `Projection.tables`."""
        return (self.table, *self.derived_tables)

    async def apply(self, connection: AsyncConnection, batch: Sequence[DecodedEvent]) -> None:
        """See `Projection.apply`."""
        before = await self._load(connection, batch)
        after: dict[UUID, R] = {}
        for decoded in batch:
            key = decoded.record.stream.aggregate_id
            after[key] = self.fold(after.get(key, before.get(key)), decoded)
        if not after:
            return
        await upsert(connection, self.table, [_values(self.table, row) for row in after.values()])
        if self.derive is not None:
            await self.derive(connection, [Change(before.get(key), row) for key, row in after.items()])

    def fold_all(self, events: Sequence[DecodedEvent]) -> R:
        """Give the row that one aggregate's events, from the first on, lead to.

        Raises `EventOutOfPlace` if the first one makes no row.
        """
        row: R | None = None
        for decoded in events:
            if decoded.record.event_type in self.event_types:
                row = self.fold(row, decoded)
        if row is None:
            raise out_of_place(events[0].record, f"{self.name} has no row of it")
        return row

    async def _load(self, connection: AsyncConnection, batch: Sequence[DecodedEvent]) -> Mapping[UUID, R]:
        """Give the rows of the batch's aggregates; one whose stream starts in the batch has none."""
        started = {d.record.stream.aggregate_id for d in batch if d.record.version == 1}
        keys = {d.record.stream.aggregate_id for d in batch} - started
        if not keys:
            return {}
        key = _key(self.table)
        columns = [self.table.c[field.name] for field in fields(self.row_type)]  # type: ignore[arg-type]
        wanted = func.unnest(bindparam("keys", list(keys), type_=ARRAY(key.type)))
        rows = await connection.execute(select(*columns).where(key.in_(select(wanted))))
        return {row[0]: self.row_type(*row) for row in rows}


async def upsert(connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows by primary key in one statement; a row that exists is replaced."""
    statement = insert_rows(table)
    replaced = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    await connection.execute(
        statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=replaced),
        transposed(table, rows),
    )


def insert_rows(table: Table) -> Insert:
    """Make the INSERT that takes one array per column."""
    arrays = [bindparam(_array_name(column), type_=ARRAY(column.type)) for column in table.c]
    columns = (make_column(column.name, column.type) for column in table.c)
    rows = func.unnest(*arrays).table_valued(*columns).render_derived()
    return insert(table).from_select(list(table.c), select(*(rows.c[column.name] for column in table.c)))


def transposed(table: Table, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Give the parameters of `insert_rows` for these rows."""
    return {_array_name(column): [row[column.name] for row in rows] for column in table.c}


def _values(table: Table, row: object) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in table.c}


def _key(table: Table) -> "Column[Any]":
    (key,) = table.primary_key.columns
    return key


def _array_name(column: "Column[Any]") -> str:
    return f"{column.name}_values"
