"""Projections that keep rows which never change: each event adds some."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.projection import DecodedEvent
from query_service.set_based import copy, upsert


@dataclass(frozen=True, slots=True)
class LinesProjection:
    """`lines` gives the rows that an event adds, each with a value for each column in the table's order."""

    name: str
    version: int
    event_types: frozenset[str]
    table: Table
    lines: Callable[[DecodedEvent], Sequence[Sequence[Any]]]

    @property
    def tables(self) -> Sequence[Table]:
        """See `Projection.tables`."""
        return (self.table,)

    async def apply(self, connection: AsyncConnection, batch: Sequence[DecodedEvent]) -> None:
        """See `Projection.apply`."""
        if rows := [row for decoded in batch for row in self.lines(decoded)]:
            await upsert(connection, self.table, rows)

    def loader(self) -> "LinesLoader":
        """See `Projection.loader`."""
        return LinesLoader(self)


class LinesLoader:
    """Loads a `LinesProjection`'s table; see `projection.Loader`."""

    def __init__(self, projection: LinesProjection) -> None:
        self.copied = (projection.table,)
        self._projection = projection

    async def write(self, connection: AsyncConnection, aggregates: Sequence[Sequence[DecodedEvent]]) -> None:
        """See `Loader.write`."""
        lines = [line for events in aggregates for decoded in events for line in self._projection.lines(decoded)]
        await copy(connection, self._projection.table, lines)

    async def write_sums(self, connection: AsyncConnection) -> None:
        """See `Loader.write_sums`: there are none."""
