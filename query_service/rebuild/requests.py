"""What is to be rebuilt, undone, finished or given up, as rows of `checkpoints`. The caller owns the transaction."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Text, bindparam, delete, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service import generations
from query_service.checkpoints import State
from query_service.projection import Projection
from query_service.tables import CHANNEL, checkpoints, parked_events, rebuild_ranges
from shared.errors import DaichoError
from shared.event_log.events import Position

REQUESTED = "rebuild"
"""Payload of a notification that there is something to be rebuilt."""


_REQUEST = text("""
WITH first AS (
    INSERT INTO read_model.checkpoints (projection, generation, partition, partitions, version, position, state)
    SELECT :name, 'next', 0, coalesce(:partitions, max(partitions), 1), :version, 0, 'requested'
    FROM read_model.checkpoints WHERE projection = :name AND generation = 'live'
    ON CONFLICT DO NOTHING RETURNING *
), others AS (
    INSERT INTO read_model.checkpoints (projection, generation, partition, partitions, version, position, state)
    SELECT projection, generation, number, partitions, version, position, state
    FROM first, generate_series(1, partitions - 1) AS number
)
SELECT FROM first
""").bindparams(bindparam("name", type_=Text), bindparam("partitions", type_=Integer))


class NothingToUndo(DaichoError):
    """No previous generation is kept, or this release's code cannot bring it along."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no previous generation of {name} is kept that this release could bring along")


class Next(NamedTuple):
    """A next generation."""

    projection: str
    version: int
    partitions: int
    position: Position
    state: State
    run: UUID | None


async def request(
    connection: AsyncConnection, projections: Sequence[Projection], partitions: int | None = None
) -> None:
    """Have these rebuilt, in so many partitions, None: in as many as they have; what is being rebuilt already goes on."""
    requested = False
    for one in projections:
        values = {"name": one.name, "version": one.version, "partitions": partitions}
        requested |= (await connection.execute(_REQUEST, values)).rowcount > 0
    if requested:
        await tell(connection, REQUESTED)


async def request_outdated(
    connection: AsyncConnection, projections: Sequence[Projection], *, only_older: bool = False
) -> None:
    """Have those rebuilt whose live generation was built by another, or by an older, version of the code."""
    row = checkpoints.c
    query = select(row.projection, row.version).where(row.generation == "live")
    versions = {found.projection: found.version for found in await connection.execute(query)}
    outdated = [one for one in projections if versions.get(one.name, one.version) != one.version]
    if only_older:
        outdated = [one for one in outdated if versions[one.name] < one.version]
    if outdated:
        await request(connection, outdated)


async def under_way(connection: AsyncConnection) -> list[Next]:
    """Give the next generations there are."""
    row = checkpoints.c
    of_all = (row.projection, row.version, row.partitions)
    query = select(*of_all, func.min(row.position), row.state, row.run).where(row.generation == "next")
    query = query.group_by(*of_all, row.state, row.run).order_by(row.projection)
    return [Next(*found) for found in await connection.execute(query)]


async def lock_next(connection: AsyncConnection, names: Collection[str], state: State) -> set[str]:
    """Give those whose next generation is in this state still, and is until the transaction ends."""
    row = checkpoints.c
    query = select(row.projection).where(row.projection.in_(names), row.generation == "next", row.state == state)
    query = query.order_by(row.projection, row.partition).with_for_update()
    return set((await connection.execute(query)).scalars())


async def set_state(
    connection: AsyncConnection, names: Collection[str], was: State, state: State, **values: Any
) -> None:
    """Move next generations on from one state to another; those that are in another one meanwhile are left alone."""
    row = checkpoints.c
    await connection.execute(
        update(checkpoints)
        .where(row.projection.in_(names), row.generation == "next", row.state == was)
        .values(state=state, updated_at=func.clock_timestamp(), **values)
    )


async def _lock(connection: AsyncConnection, name: str) -> None:
    """Lock a projection's checkpoints before its tables, as whoever projects does."""
    row = checkpoints.c
    query = select(row.projection).where(row.projection == name, row.generation != "live")
    query = query.order_by(row.generation, row.partition)
    await connection.execute(query.with_for_update())


async def discard(connection: AsyncConnection, projection: Projection) -> None:
    """Give up a next generation."""
    await _lock(connection, projection.name)
    await generations.drop(connection, projection.tables, "next")
    await _forget(connection, projection.name, "next")
    await forget_runs(connection)


async def finish(connection: AsyncConnection, projection: Projection) -> None:
    """Let a previous generation go."""
    await _lock(connection, projection.name)
    await generations.drop(connection, projection.tables, "previous")
    await _forget(connection, projection.name, "previous")


async def finish_old(connection: AsyncConnection, projections: Sequence[Projection], kept: timedelta) -> None:
    """Let previous generations go that were kept long enough."""
    row = checkpoints.c
    old = select(row.projection).where(row.generation == "previous", row.updated_at < func.now() - kept)
    names = set((await connection.execute(old)).scalars())
    for projection in projections:
        if projection.name in names:
            await finish(connection, projection)


async def undo(connection: AsyncConnection, projection: Projection) -> None:
    """Make the previous generation the next one, to be brought on and to take the live one's place again.

    A next generation that is being built is given up. Raises `NothingToUndo`.
    """
    row = checkpoints.c
    await _lock(connection, projection.name)
    kept = select(func.max(row.version)).where(row.projection == projection.name, row.generation == "previous")
    if await connection.scalar(kept) != projection.version:
        raise NothingToUndo(projection.name)
    await discard(connection, projection)
    await generations.restore(connection, projection.tables)
    await _rename(connection, projection.name, "previous", "next", "loaded")
    await connection.execute(
        update(checkpoints)
        .where(row.projection == projection.name, row.generation == "next")
        .values(started_at=func.clock_timestamp(), started_from=row.position)
    )
    await tell(connection, REQUESTED)


async def take_over(connection: AsyncConnection, projection: Projection, report: Any) -> None:
    """Make the next generation's checkpoint and parked events the live ones, and the live ones the previous ones.

    The report is kept, with when it began and ended.
    """
    await _forget(connection, projection.name, "previous")
    await _rename(connection, projection.name, "live", "previous", "kept")
    await _rename(connection, projection.name, "next", "live", "following")
    row = checkpoints.c
    times = func.jsonb_build_object("started_at", row.started_at, "finished_at", func.clock_timestamp(), type_=JSONB)
    await connection.execute(
        update(checkpoints)
        .where(row.projection == projection.name, row.generation == "live")
        .values(run=None, report=literal(report, JSONB) + times)
    )
    await forget_runs(connection)


async def tell(connection: AsyncConnection, payload: str) -> None:
    """Notify every replica, once this is committed."""
    await connection.execute(select(func.pg_notify(CHANNEL, payload)))


async def _rename(connection: AsyncConnection, name: str, old: str, new: str, state: State) -> None:
    for table, values in ((checkpoints, {"state": state, "updated_at": func.clock_timestamp()}), (parked_events, {})):
        await connection.execute(
            update(table).where(table.c.projection == name, table.c.generation == old).values(generation=new, **values)
        )


async def forget_runs(connection: AsyncConnection) -> None:
    """Remove what runs had to load that nothing is loaded by any more."""
    runs = select(checkpoints.c.run).where(checkpoints.c.run.is_not(None))
    await connection.execute(delete(rebuild_ranges).where(rebuild_ranges.c.run.not_in(runs)))


async def _forget(connection: AsyncConnection, name: str, generation: str) -> None:
    for table in (checkpoints, parked_events):
        await connection.execute(delete(table).where(table.c.projection == name, table.c.generation == generation))
