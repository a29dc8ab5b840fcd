"""Reading a read model, together with the position that it reflects."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    ScalarSelect,
    Select,
    Uuid,
    bindparam,
    exists,
    false,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.answer_cache import NOTE, Note, Subject
from query_service.projected_position import ProjectedPosition, ReadModelBehind
from query_service.tables import checkpoints, parked_events
from shared.driver import Record, fetch_records
from shared.event_log.events import Position, StreamId
from shared.event_log.reader import EventLog
from shared.grouped_reads import GroupedReads

READING: Final = {"random_page_cost": "1.1"}
"""PostgreSQL's settings for the connections that read models are read on.

What is read often is in memory: a row fetched by index costs little more than its neighbour.
"""

SEARCHING: Final = {**READING, "plan_cache_mode": "force_custom_plan"}
"""Those for queries whose values tell which index serves them: no plan is kept for all of them."""

OneQuery = Callable[[ColumnElement[UUID]], Select[Any]]
"""Makes the query for one aggregate's row out of the column with its id; a function that is there once, not a lambda."""


@dataclass(frozen=True, slots=True)
class ReadModel:
    """The read model for one request, which wants a state not older than `wanted` and waits so many seconds for it."""

    grouped: GroupedReads[Select[Any], Record]
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
        aggregate_type: str,
        *,
        plan_by_values: bool = False,
    ) -> tuple[Position, Sequence[Record]]:
        """Run a query about all aggregates of a type, with what tells its position in the same statement.

        So both are of one snapshot. Gives the position that every one of the projections has reached, and the query's
        rows, in no promised order. Values are those of the driver. The answer may be kept as long as nothing happens to any of those aggregates. The
        query should be one of a few that are made once: what is built out of it is kept, and PostgreSQL's plan too, but
        with `plan_by_values`: then each set of parameters has a plan of its own.

        Raises `ReadModelBehind`, `DatabaseUnavailable` and `Overloaded`.
        """
        await self.projected.wait_for(projections, self.wanted, self.seconds)
        engine = self.search_engine if plan_by_values else self.engine
        statement = _of_all(query, tuple(projections))
        rows = await fetch_records(engine, statement, {**parameters, "wanted": self.wanted})
        position = self._note(rows[0], aggregate_type, projections)
        return position, [row for row in rows if row.found]

    async def fetch_one(
        self, query: OneQuery, projections: Sequence[str], aggregate: StreamId
    ) -> tuple[Position, Record | None]:
        """Run a query that gives one aggregate's row, in one statement with those of others who ask for theirs now.

        The position is that of `fetch`, but not past events of the aggregate that are parked. `query` makes the
        query out of the id's column. The answer may be kept as long as nothing happens to the aggregate.

        Raises `ReadModelBehind`, `DatabaseUnavailable` and `Overloaded`.
        """
        await self.projected.wait_for(projections, self.wanted, self.seconds)
        row = await self.grouped.fetch(_of_each(query, tuple(projections)), aggregate.aggregate_id)
        return self._note(row, aggregate, projections), row if row.found else None

    def _note(self, row: Record, about: Subject, projections: Sequence[str]) -> Position:
        position = Position(row.reached)
        self.require(position, is_parked=row.parked)
        told = {"can_be_kept": not row.parked, "has_tag": not row.is_partial}
        self.scope[NOTE] = Note(about, tuple(projections), position, **told)
        return position

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

    def require(self, position: Position, *, is_parked: bool = False) -> None:
        """Raise `ReadModelBehind` if an answer of this position is older than wanted.

        What was once reached may be gone: a read model can be restored, or fail over to a replica that lags.
        """
        if position < self.wanted:
            raise ReadModelBehind(self.wanted, position, is_parked=is_parked)


async def rows_about(engine: AsyncEngine, query: Select[Any], ids: Sequence[UUID]) -> Mapping[UUID, Record]:
    """Run a query that takes `ids`, and gives a row for each of them, told apart by `about`.

    Raises `DatabaseUnavailable` and `Overloaded`.
    """
    return {row.about: row for row in await fetch_records(engine, query, {"ids": ids})}


@lru_cache(maxsize=1024)
def _of_all(query: Select[Any], projections: Sequence[str]) -> Select[Any]:
    """Make a query tell its position; its parameter is `wanted`, a position.

    It shows all but the parked orders; who wants to see a parked event of its own is told to wait.
    """
    row, those = parked_events.c, _parked(projections)
    before_parked = select(func.min(row.position) - 1).where(row.position == bindparam("wanted"), *those)
    position = select(
        func.coalesce(func.least(_reached(projections), before_parked.scalar_subquery()), 0).label("reached"),
        exists(select(row.position).where(*those)).label("parked"),
        false().label("is_partial"),
    ).subquery()
    found = query.add_columns(literal(True).label("found")).subquery()
    return select(position, found).select_from(position.outerjoin(found, true()))


@lru_cache(maxsize=1024)
def _of_each(query: OneQuery, projections: Sequence[str]) -> Select[Any]:
    """Make a query give a row for each of `ids`, with the position that it reflects."""
    row, those = parked_events.c, _parked(projections)
    ids = select(func.unnest(bindparam("ids", type_=ARRAY(Uuid()))).label("about")).subquery()
    of_it = (row.aggregate_id == ids.c.about, *those)
    before_parked = select(func.min(row.position) - 1).where(*of_it).scalar_subquery()
    found = query(ids.c.about).add_columns(literal(True).label("found")).lateral()
    return select(
        ids,
        func.coalesce(func.least(_reached(projections), before_parked), 0).label("reached"),
        exists(select(row.position).where(*those)).label("parked"),
        exists(select(row.position).where(*of_it)).label("is_partial"),
        found,
    ).select_from(ids.outerjoin(found, true()))


def _reached(projections: Sequence[str]) -> ScalarSelect[int]:
    row = checkpoints.c
    those = (row.projection.in_([literal(name) for name in projections]), row.generation == "live")
    return select(func.min(row.position)).where(*those).scalar_subquery()


def _parked(projections: Sequence[str]) -> Sequence[ColumnElement[bool]]:
    row = parked_events.c
    return (row.projection.in_([literal(name) for name in projections]), row.generation == "live")
