"""The read model as a request sees it: at the position that it names or past it, and telling which one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, func, literal, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.projected_position import ProjectedPosition, ReadModelBehind
from query_service.tables import checkpoints
from shared.database import AnyRow, fetch_all
from shared.event_log.events import Position

READING: Final = {"plan_cache_mode": "force_custom_plan", "random_page_cost": "1.1"}
"""PostgreSQL's settings for the connections that read models are read on.

Which index serves a filter depends on its values, so no plan is kept for all of them. And what is read often is in
memory: a row fetched by index costs little more than its neighbour.
"""


@dataclass(frozen=True, slots=True)
class ReadModel:
    """The read model for one request, which wants a state not older than `wanted` and waits so many seconds for it."""

    engine: AsyncEngine
    projected: ProjectedPosition
    wanted: Position
    seconds: float

    async def fetch(self, query: Select[Any], projections: Sequence[str]) -> tuple[Position, Sequence[AnyRow]]:
        """Run a query, with the checkpoint of what it reads in the same statement, so of the same snapshot.

        Gives the position that every one of the projections has reached, and the query's rows, in no
        promised order. Raises `ReadModelBehind`, `DatabaseUnavailable` and `Overloaded`.
        """
        await self.projected.wait_for(self.wanted, self.seconds)
        rows = await fetch_all(self.engine, _with_position(query, projections))
        position = Position(rows[0].reached)
        self.require(position)
        return position, [row for row in rows if row.found]

    def require(self, position: Position) -> None:
        """Raise `ReadModelBehind` if an answer of this position is older than wanted.

        What was once reached may be gone: a read model can be restored, or fail over to a replica that lags.
        """
        if position < self.wanted:
            raise ReadModelBehind(self.wanted, position)


def _with_position(query: Select[Any], projections: Sequence[str]) -> Select[Any]:
    reached = select(func.coalesce(func.min(checkpoints.c.position), 0).label("reached")).where(
        checkpoints.c.projection.in_(projections)
    )
    position = reached.subquery()
    found = query.add_columns(literal(True).label("found")).subquery()
    return select(position.c.reached, found).select_from(position.outerjoin(found, true()))
