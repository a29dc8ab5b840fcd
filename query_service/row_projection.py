"""Projections that keep one row per aggregate, each written as a pure fold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, Select, Table, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.projection import DecodedEvent, out_of_place
from query_service.set_based import copy, upsert
from query_service.sums import Summing, Sums

R = TypeVar("R", bound=tuple[Any, ...])


@dataclass(frozen=True, slots=True)
class RowProjection(Generic[R]):
    """One row per aggregate: `fold` gives the row after an event, from the row before it (None: there is none).

    `row_type` is a `NamedTuple` with the table's columns as fields, the key, the aggregate's id, first. A batch
    loads the rows it touches, folds in memory, and writes each once: two statements, however long the batch,
    and one for each table of sums.
    """

    name: str
    version: int
    event_types: frozenset[str]
    table: Table
    row_type: Callable[..., R]
    fold: Callable[[R | None, DecodedEvent], R]
    sums: Sequence[Sums[R]] = ()

    def __post_init__(self) -> None:
        if getattr(self.row_type, "_fields", None) != tuple(self.table.c.keys()):
            raise TypeError(f"{self.row_type} is no NamedTuple with the columns of {self.table} in their order")

    @property
    def tables(self) -> Sequence[Table]:
        """See `Projection.tables`."""
        return (self.table, *(sums.table for sums in self.sums))

    async def apply(self, connection: AsyncConnection, batch: Sequence[DecodedEvent]) -> None:
        """See `Projection.apply`."""
        before = await self._load(connection, batch)
        after: dict[UUID, R] = {}
        for decoded in batch:
            key = decoded.record.stream.aggregate_id
            after[key] = self.fold(after.get(key, before.get(key)), decoded)
        if not after:
            return
        await upsert(connection, self.table, list(after.values()))
        for summing in map(Summing, self.sums):
            for key, row in after.items():
                if key in before:
                    summing.went(before[key])
                summing.came(row)
            await summing.write(connection)

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

    def loader(self) -> "RowLoader[R]":
        """See `Projection.loader`."""
        return RowLoader(self)

    async def _load(self, connection: AsyncConnection, batch: Sequence[DecodedEvent]) -> Mapping[UUID, R]:
        """Give the rows of the batch's aggregates; one whose stream starts in the batch has none."""
        started = {d.record.stream.aggregate_id for d in batch if d.record.version == 1}
        keys = {d.record.stream.aggregate_id for d in batch} - started
        if not keys:
            return {}
        rows = await connection.execute(_by_key(self.table), {"keys": list(keys)})
        return {row[0]: self.row_type(*row) for row in rows}


class RowLoader(Generic[R]):
    """Loads a `RowProjection`'s tables aggregate by aggregate; see `projection.Loader`."""

    def __init__(self, projection: RowProjection[R]) -> None:
        self.copied = (projection.table,)
        self._projection = projection
        self._sums = [Summing(sums) for sums in projection.sums]

    async def write(self, connection: AsyncConnection, aggregates: Sequence[Sequence[DecodedEvent]]) -> None:
        """See `Loader.write`."""
        rows = [self._projection.fold_all(events) for events in aggregates]
        await copy(connection, self._projection.table, rows)
        for summing in self._sums:
            for row in rows:
                summing.came(row)

    async def write_sums(self, connection: AsyncConnection) -> None:
        """See `Loader.write_sums`."""
        for summing in self._sums:
            await summing.write(connection)


@cache
def _by_key(table: Table) -> Select[Any]:
    (key,) = table.primary_key.columns
    wanted = func.unnest(bindparam("keys", type_=ARRAY(key.type)))
    return select(table).where(key.in_(select(wanted)))
