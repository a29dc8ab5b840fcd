"""Reading a read model, together with the position that it reflects."""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Select, bindparam, exists, false, func, literal, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.answer_cache import NOTE, Note, Subject
from query_service.projected_position import ProjectedPosition, ReadModelBehind
from query_service.tables import checkpoints, parked_events
from shared.database import AnyRow, fetch_all
from shared.event_log.events import Position, StreamId

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
    scope: MutableMapping[str, Any]
    wanted: Position
    seconds: float

    async def fetch(
        self,
        query: Select[Any],
        projections: Sequence[str],
        about: Subject,
        parameters: Mapping[str, object] | None = None,
    ) -> tuple[Position, Sequence[AnyRow]]:
        """Run a query about one aggregate, or about all of a type, with what tells its position in the same statement.

        So both are of one snapshot. Gives the position that every one of the projections has reached, for one
        aggregate not past events of it that are parked; and the query's rows, in no promised order. The answer
        may be kept as long as nothing happens to what it is about. With `parameters`, even none, the query is one of a
        few that live as long as the process: what is built out of it is kept. Raises `ReadModelBehind`,
        `DatabaseUnavailable` and `Overloaded`.
        """
        await self.projected.wait_for(projections, self.wanted, self.seconds)
        make = _with_position if parameters is None else _with_position_once
        is_one = isinstance(about, StreamId)
        named = {"about": about.aggregate_id} if isinstance(about, StreamId) else {"wanted": self.wanted}
        statement = make(query, tuple(projections), is_one=is_one)
        rows = await fetch_all(self.engine, statement, {**(parameters or {}), **named})
        position = Position(rows[0].reached)
        self.require(position)
        self.scope[NOTE] = Note(about, tuple(projections), position, can_be_kept=not rows[0].parked, has_tag=not rows[0].is_partial)
        return position, [row for row in rows if row.found]

    def depends_on_the_clock(self) -> None:
        """Have the answer that was read not kept: tomorrow, the same request has another."""
        self.scope[NOTE] = self.scope[NOTE]._replace(can_be_kept=False)

    def require(self, position: Position) -> None:
        """Raise `ReadModelBehind` if an answer of this position is older than wanted.

        What was once reached may be gone: a read model can be restored, or fail over to a replica that lags.
        """
        if position < self.wanted:
            raise ReadModelBehind(self.wanted, position)


def _with_position(query: Select[Any], projections: Sequence[str], *, is_one: bool) -> Select[Any]:
    """Make a query tell its position; its parameters are `about`, the aggregate's id, or `wanted`, a position.

    A list shows all but the parked orders; who wants to see a parked event of its own is told to wait.
    """
    parked = parked_events.c
    of_these = (parked.projection.in_(projections), parked.generation == "live")
    asked_for = parked.aggregate_id == bindparam("about") if is_one else parked.position == bindparam("wanted")
    before_parked = select(func.min(parked.position) - 1).where(asked_for, *of_these)
    reached = select(func.min(checkpoints.c.position)).where(
        checkpoints.c.projection.in_(projections), checkpoints.c.generation == "live"
    )
    position = select(
        func.coalesce(func.least(reached.scalar_subquery(), before_parked.scalar_subquery()), 0).label("reached"),
        exists(select(parked.position).where(*of_these)).label("parked"),
        (exists(select(parked.position).where(asked_for, *of_these)) if is_one else false()).label("is_partial"),
    ).subquery()
    found = query.add_columns(literal(True).label("found")).subquery()
    return select(position.c.reached, position.c.parked, position.c.is_partial, found).select_from(position.outerjoin(found, true()))


_with_position_once = lru_cache(maxsize=256)(_with_position)
