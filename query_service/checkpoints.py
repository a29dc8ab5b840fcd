"""The checkpoint of each generation of each projection. No function here commits: the caller owns the transaction."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import Select, Text, bindparam, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.generations import Generation
from query_service.projection import Projection
from query_service.tables import CHANNEL, checkpoints
from shared.event_log.events import Position

State = Literal["requested", "loading", "loaded", "following", "kept"]


class Checkpoint(NamedTuple):
    """How far a generation of a projection has come, built by a version of the projection's code.

    `has_parked` tells whether events of it may be parked, as of the moment when the row was locked.
    """

    projection: str
    generation: Generation
    version: int
    position: Position
    has_parked: bool


async def register(connection: AsyncConnection, projections: Sequence[Projection]) -> None:
    """Give each new projection a checkpoint before the first event."""
    rows = [{"projection": p.name, "version": p.version, "position": 0} for p in projections]
    await connection.execute(insert(checkpoints).on_conflict_do_nothing(), rows)


async def lock(
    connection: AsyncConnection, projections: Sequence[Projection], state: State = "following"
) -> list[Checkpoint]:
    """Give the checkpoints in a state, which nobody else can move until the transaction ends.

    Those of another version of the code are left alone.
    """
    versions = tuple((projection.name, projection.version) for projection in projections)
    return [Checkpoint(*found) for found in await connection.execute(_lock(versions), {"state": state})]


async def move(connection: AsyncConnection, moved: Iterable[Checkpoint], position: Position, by: str) -> None:
    """Set the positions of these checkpoints, and tell the other replicas who did once this is committed."""
    keys = tuple((checkpoint.projection, checkpoint.generation) for checkpoint in moved)
    await connection.execute(_move(keys), {"reached": position, "by": by})


@lru_cache(maxsize=64)
def _lock(versions: tuple[tuple[str, int], ...]) -> Select[Any]:
    row = checkpoints.c
    return (
        select(row.projection, row.generation, row.version, row.position, row.has_parked)
        .where(tuple_(row.projection, row.version).in_(versions), row.state == bindparam("state"))
        .order_by(row.projection, row.generation)
        .with_for_update()
    )


@lru_cache(maxsize=64)
def _move(keys: tuple[tuple[str, str], ...]) -> Any:
    row = checkpoints.c
    return (
        update(checkpoints)
        .where(tuple_(row.projection, row.generation).in_(keys))
        .values(position=bindparam("reached"), updated_at=func.clock_timestamp())
        .returning(func.pg_notify(CHANNEL, bindparam("by", type_=Text)))
    )


async def find(connection: AsyncConnection, projection: Projection) -> list[Checkpoint]:
    """Give the checkpoints of a projection's generations."""
    row = checkpoints.c
    query = select(row.projection, row.generation, row.version, row.position, row.has_parked)
    query = query.where(row.projection == projection.name)
    return [Checkpoint(*found) for found in await connection.execute(query)]
