"""The checkpoint of each projection. No function here commits: the caller owns the transaction."""

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.projection import Projection
from query_service.tables import checkpoints
from shared.errors import DaichoError
from shared.event_log.events import Position


class ProjectionVersionMismatch(DaichoError):
    """A projection's tables were built by another version of its code."""

    def __init__(self, name: str, found: int, wanted: int) -> None:
        super().__init__(f"projection {name} was built by version {found}, this release has version {wanted}")


async def register(connection: AsyncConnection, projections: Sequence[Projection]) -> None:
    """Give each new projection a checkpoint before the first event.

    Raises `ProjectionVersionMismatch` where the tables are another version's.
    """
    rows = [{"projection": p.name, "version": p.version, "position": 0} for p in projections]
    await connection.execute(insert(checkpoints).on_conflict_do_nothing(), rows)
    found = {row.projection: row.version for row in await connection.execute(select(checkpoints))}
    for projection in projections:
        if found[projection.name] != projection.version:
            raise ProjectionVersionMismatch(projection.name, found[projection.name], projection.version)


async def lock(connection: AsyncConnection, names: Sequence[str]) -> Mapping[str, Position]:
    """Give the positions of these projections, which nobody else can move until the transaction ends."""
    query = (
        select(checkpoints.c.projection, checkpoints.c.position)
        .where(checkpoints.c.projection.in_(names))
        .order_by(checkpoints.c.projection)
        .with_for_update()
    )
    return {row.projection: Position(row.position) for row in await connection.execute(query)}


async def move(connection: AsyncConnection, names: Sequence[str], position: Position) -> None:
    """Set the positions of these projections."""
    await connection.execute(
        update(checkpoints)
        .where(checkpoints.c.projection.in_(names))
        .values(position=position, updated_at=func.clock_timestamp())
    )
