"""Parked events: what a projection could not apply waits here, with everything behind it of the same aggregate."""

import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Select, Update, Uuid, bindparam, delete, exists, func, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service.checkpoints import Checkpoint
from query_service.generations import Generation, on_generation
from query_service.isolation import Poison
from query_service.tables import checkpoints, parked_events
from shared.database import fetch_all
from shared.errors import DaichoError
from shared.event_log.events import Position, RecordedEvent, StreamId, Version

_logger = logging.getLogger(__name__)
ANY: Final = exists(
    select(parked_events.c.position).where(
        parked_events.c.projection == checkpoints.c.projection,
        parked_events.c.generation == checkpoints.c.generation,
    )
)
"""Whether any events of a checkpoint's generation are parked, for an UPDATE of `checkpoints`."""

Parked = frozenset[tuple[str, str, UUID]]
"""Which aggregates are parked: projection, generation, aggregate id."""


async def parked_among(connection: AsyncConnection, aggregate_ids: Iterable[UUID]) -> Parked:
    """Tell which of these aggregates have parked events."""
    row = parked_events.c
    wanted = func.unnest(bindparam("ids", list(set(aggregate_ids)), type_=ARRAY(Uuid)))
    query = select(row.projection, row.generation, row.aggregate_id).distinct()
    found = await connection.execute(query.where(row.aggregate_id.in_(select(wanted))))
    return frozenset((one.projection, one.generation, one.aggregate_id) for one in found)


async def park(connection: AsyncConnection, at: Sequence[Checkpoint], poison: Sequence[Poison]) -> None:
    """Park events of these partitions of one generation; only the first of each aggregate has an error, the others wait behind it."""
    rows = [
        _row(at[0].projection, at[0].generation, record, one.error if number == 0 else None)
        for one in poison
        for number, record in enumerate(one.records)
    ]
    for one in poison:
        if one.error is not None:
            _log(at[0], one)
    if rows:
        # The engine's own table, whichever generation the connection is on.
        live = on_generation("live")
        await connection.execute(insert(parked_events), rows, execution_options=live)
        note = _note(at[0].projection, at[0].generation)
        numbers = [one.partition.number for one in at]
        await connection.execute(note.where(checkpoints.c.partition.in_(numbers)), execution_options=live)


def _log(checkpoint: Checkpoint, poison: Poison) -> None:
    first = poison.records[0]
    told = {
        "projection": checkpoint.projection,
        "generation": checkpoint.generation,
        "aggregate_type": first.stream.aggregate_type,
        "aggregate_id": str(first.stream.aggregate_id),
        "event_type": first.event_type,
        "event_id": str(first.event_id),
        "position": first.position,
        "correlation_id": first.origin("correlation_id"),
    }
    _logger.warning("events are parked: %s", poison.error, extra=told)


class EventsParked(DaichoError):
    """Some events could not be applied."""


async def require_nothing_parked(engine: AsyncEngine) -> None:
    """Raise `EventsParked` if anything is."""
    query = select(func.count()).select_from(parked_events).where(parked_events.c.generation == "live")
    (row,) = await fetch_all(engine, query)
    if row[0]:
        raise EventsParked(f"{row[0]} events are parked: `daicho parked list` tells why")


class ParkedAggregate(NamedTuple):
    """One aggregate that a projection could not bring along, from its first parked event on; `events` wait."""

    projection: str
    aggregate_type: str
    aggregate_id: UUID
    position: int
    version: int
    event_type: str
    event_id: UUID
    error: str
    attempts: int
    parked_at: datetime
    events: int


def parked_aggregates(
    projections: Collection[str], after: int = 0, limit: int | None = None, aggregate_id: UUID | None = None
) -> Select[Any]:
    """Make the query for what these projections have parked, by position; its rows are `ParkedAggregate`s."""
    row = parked_events.c
    of_aggregate = (row.projection, row.generation, row.aggregate_id)
    numbered = (
        select(
            row.projection, row.aggregate_type, row.aggregate_id, row.position, row.version, row.event_type, row.event_id,
            func.coalesce(row.error, "").label("error"), row.attempts, row.parked_at,
            func.count().over(partition_by=of_aggregate).label("events"),
            func.row_number().over(partition_by=of_aggregate, order_by=row.position).label("number"),
        )
        .where(row.generation == "live", row.projection.in_(projections))
        .where(true() if aggregate_id is None else row.aggregate_id == aggregate_id)
        .subquery()
    )  # fmt: skip
    columns = [column for column in numbered.c if column.name != "number"]
    first = select(*columns).where(numbered.c.number == 1, numbered.c.position > after)
    return first.order_by(numbered.c.position, numbered.c.projection).limit(limit)


async def parked_in_next_alone(connection: AsyncConnection, projection: str) -> list[StreamId]:
    """Give the aggregates that the next generation could not bring along, and the live one could."""
    row = parked_events.c
    aggregates = select(row.aggregate_type, row.aggregate_id).where(row.projection == projection)
    query = aggregates.where(row.generation == "next").except_(aggregates.where(row.generation == "live"))
    return [StreamId(*found) for found in await connection.execute(query)]


async def waiting(
    connection: AsyncConnection, projection: str, generation: Generation, aggregate_id: UUID
) -> dict[Position, Version]:
    """Give where an aggregate's parked events are, in order: positions, and versions in its stream."""
    row = parked_events.c
    query = select(row.position, row.version).where(
        row.projection == projection, row.generation == generation, row.aggregate_id == aggregate_id
    )
    return {found.position: found.version for found in await connection.execute(query.order_by(row.position))}


async def release(
    connection: AsyncConnection, projection: str, generation: Generation, positions: Iterable[Position]
) -> None:
    """Take events out, once they are applied or given up."""
    row = parked_events.c
    of_this = (row.projection == projection, row.generation == generation)
    await connection.execute(delete(parked_events).where(*of_this, row.position.in_(list(positions))))
    await connection.execute(_note(projection, generation))


async def failed_again(
    connection: AsyncConnection, projection: str, generation: Generation, position: Position, error: str
) -> None:
    """Note that an event could still not be applied."""
    row = parked_events.c
    await connection.execute(
        update(parked_events)
        .where(row.projection == projection, row.generation == generation, row.position == position)
        .values(error=error, attempts=row.attempts + 1)
    )


def _note(projection: str, generation: Generation) -> Update:
    """Make the statement that has the generation's checkpoints tell whether anything of it is parked."""
    row = checkpoints.c
    of_this = (row.projection == projection, row.generation == generation)
    return update(checkpoints).where(*of_this).values(has_parked=ANY)


def _row(projection: str, generation: Generation, record: RecordedEvent, error: str | None) -> dict[str, object]:
    return {
        "projection": projection,
        "generation": generation,
        "position": record.position,
        "aggregate_type": record.stream.aggregate_type,
        "aggregate_id": record.stream.aggregate_id,
        "version": record.version,
        "event_type": record.event_type,
        "event_id": record.event_id,
        "error": error,
    }
