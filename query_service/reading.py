"""Reading a read model, together with the position that it reflects."""

from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
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
from shared.event_log.reader import EventLog

READING: Final = {"random_page_cost": "1.1"}
"""PostgreSQL's settings for the connections that read models are read on.

What is read often is in memory: a row fetched by index costs little more than its neighbour.
"""

SEARCHING: Final = {**READING, "plan_cache_mode": "force_custom_plan"}
"""Those for queries with filters: which index serves one depends on its value, so no plan is kept for all of them."""


@dataclass(frozen=True, slots=True)
class ReadModel:
    """The read model for one request, which wants a state not older than `wanted` and waits so many seconds for it."""

    engine: AsyncEngine
    search_engine: AsyncEngine
    projected: ProjectedPosition
    scope: MutableMapping[str, Any]
    wanted: Position
    seconds: float

    async def fetch(
        self,
        query: Select[Any],
        parameters: Mapping[str, object],
        projections: Sequence[str],
        about: Subject,
    ) -> tuple[Position, Sequence[AnyRow]]:
        """Run a query about one aggregate, or about all of a type, with what tells its position in the same statement.

        So both are of one snapshot. Gives the position that every one of the projections has reached, for one
        aggregate not past events of it that are parked; and the query's rows, in no promised order. The answer
        may be kept as long as nothing happens to what it is about. The query should be one of a few that are made
        once: what is built out of it is kept, and PostgreSQL's plan for one aggregate or without parameters.

        Raises `ReadModelBehind`, `DatabaseUnavailable` and `Overloaded`.
        """
        await self.projected.wait_for(projections, self.wanted, self.seconds)
        is_one = isinstance(about, StreamId)
        engine = self.engine if is_one or not parameters else self.search_engine
        named = {"about": about.aggregate_id} if isinstance(about, StreamId) else {"wanted": self.wanted}
        statement = _with_position(query, tuple(projections), is_one=is_one)
        rows = await fetch_all(engine, statement, {**parameters, **named})
        position = Position(rows[0].reached)
        self.require(position)
        told = {"can_be_kept": not rows[0].parked, "has_tag": not rows[0].is_partial}
        self.scope[NOTE] = Note(about, tuple(projections), position, **told)
        return position, [row for row in rows if row.found]

    async def head(self, log: EventLog) -> Position:
        """Give the head of the log, which has what is wanted before any projection; if it has not, wait.

        Raises `ReadModelBehind`, `DatabaseUnavailable` and `Overloaded`.
        """
        head = await log.head()
        if head < self.wanted:
            with suppress(ReadModelBehind):
                await self.projected.wait_for(None, self.wanted, self.seconds)
            head = await log.head()
            self.require(head)
        return head

    def depends_on_the_clock(self) -> None:
        """Have the answer that was read not kept: tomorrow, the same request has another."""
        self.scope[NOTE] = self.scope[NOTE]._replace(can_be_kept=False)

    def require(self, position: Position) -> None:
        """Raise `ReadModelBehind` if an answer of this position is older than wanted.

        What was once reached may be gone: a read model can be restored, or fail over to a replica that lags.
        """
        if position < self.wanted:
            raise ReadModelBehind(self.wanted, position)


@lru_cache(maxsize=1024)
def _with_position(query: Select[Any], projections: Sequence[str], *, is_one: bool) -> Select[Any]:
    """Make a query tell its position; its parameters are `about`, the aggregate's id, or `wanted`, a position.

    A list shows all but the parked orders; who wants to see a parked event of its own is told to wait.
    """
    parked = parked_events.c
    those = [literal(name) for name in projections]
    of_these = (parked.projection.in_(those), parked.generation == "live")
    asked_for = parked.aggregate_id == bindparam("about") if is_one else parked.position == bindparam("wanted")
    before_parked = select(func.min(parked.position) - 1).where(asked_for, *of_these)
    reached = select(func.min(checkpoints.c.position)).where(
        checkpoints.c.projection.in_(those), checkpoints.c.generation == "live"
    )
    position = select(
        func.coalesce(func.least(reached.scalar_subquery(), before_parked.scalar_subquery()), 0).label("reached"),
        exists(select(parked.position).where(*of_these)).label("parked"),
        (exists(select(parked.position).where(asked_for, *of_these)) if is_one else false()).label("is_partial"),
    ).subquery()
    found = query.add_columns(literal(True).label("found")).subquery()
    told = (position.c.reached, position.c.parked, position.c.is_partial)
    return select(*told, found).select_from(position.outerjoin(found, true()))
