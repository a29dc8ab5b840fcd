"""Queries of the read model that tell which position they reflect."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, func, literal, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.tables import checkpoints
from shared.database import AnyRow, fetch_all
from shared.event_log.events import Position

OrderBy = Callable[[FromClause], Sequence[ColumnElement[Any]]]
"""Gives the sort of a query's rows, by its columns."""


async def fetch_at_position(
    engine: AsyncEngine, query: Select[Any], projections: Sequence[str], order_by: OrderBy | None = None
) -> tuple[Position, Sequence[AnyRow]]:
    """Run a query, with the checkpoint of what it reads in the same statement, so of the same snapshot.

    Gives the position that every one of the projections has reached, and the query's rows, sorted by
    `order_by`. Raises `DatabaseUnavailable` and `Overloaded`.
    """
    reached = select(func.coalesce(func.min(checkpoints.c.position), 0).label("reached")).where(
        checkpoints.c.projection.in_(projections)
    )
    position = reached.subquery()
    found = query.add_columns(literal(True).label("found")).subquery()
    statement = select(position.c.reached, found).select_from(position.outerjoin(found, true()))
    if order_by is not None:
        statement = statement.order_by(*order_by(found))
    rows = await fetch_all(engine, statement)
    return Position(rows[0].reached), [row for row in rows if row.found]
