"""The read model as a request sees it: at the position that it names or past it, and telling which one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, func, literal, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.projected_position import ProjectedPosition, ReadModelBehind
from query_service.tables import checkpoints
from shared.database import AnyRow, fetch_all
from shared.event_log.events import Position

OrderBy = Callable[[FromClause], Sequence[ColumnElement[Any]]]
"""Gives the sort of a query's rows, by its columns."""


@dataclass(frozen=True, slots=True)
class ReadModel:
    """The read model for one request, which wants a state not older than `wanted` and waits so many seconds for it."""

    engine: AsyncEngine
    projected: ProjectedPosition
    wanted: Position
    seconds: float

    async def fetch(
        self, query: Select[Any], projections: Sequence[str], order_by: OrderBy | None = None
    ) -> tuple[Position, Sequence[AnyRow]]:
        """Run a query, with the checkpoint of what it reads in the same statement, so of the same snapshot.

        Gives the position that every one of the projections has reached, and the query's rows, sorted by
        `order_by`. Raises `ReadModelBehind`, `DatabaseUnavailable` and `Overloaded`.
        """
        await self.projected.wait_for(self.wanted, self.seconds)
        rows = await fetch_all(self.engine, _with_position(query, projections, order_by))
        position = Position(rows[0].reached)
        self.require(position)
        return position, [row for row in rows if row.found]

    def require(self, position: Position) -> None:
        """Raise `ReadModelBehind` if an answer of this position is older than wanted.

        What was once reached may be gone: a read model can be restored, or fail over to a replica that lags.
        """
        if position < self.wanted:
            raise ReadModelBehind(self.wanted, position)


def _with_position(query: Select[Any], projections: Sequence[str], order_by: OrderBy | None) -> Select[Any]:
    reached = select(func.coalesce(func.min(checkpoints.c.position), 0).label("reached")).where(
        checkpoints.c.projection.in_(projections)
    )
    position = reached.subquery()
    found = query.add_columns(literal(True).label("found")).subquery()
    statement = select(position.c.reached, found).select_from(position.outerjoin(found, true()))
    return statement if order_by is None else statement.order_by(*order_by(found))
