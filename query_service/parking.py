"""Parked events: what a projection could not apply waits here, with everything behind it of the same aggregate."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.checkpoints import Checkpoint
from query_service.generations import Generation, on_generation
from query_service.isolation import Poison
from query_service.tables import parked_events
from shared.event_log.events import RecordedEvent

Parked = frozenset[tuple[str, str, UUID]]
"""Which aggregates are parked: projection, generation, aggregate id."""


async def parked_among(connection: AsyncConnection, aggregate_ids: Iterable[UUID]) -> Parked:
    """Tell which of these aggregates have parked events."""
    row = parked_events.c
    wanted = func.unnest(bindparam("ids", list(set(aggregate_ids)), type_=ARRAY(Uuid)))
    query = select(row.projection, row.generation, row.aggregate_id).distinct()
    found = await connection.execute(query.where(row.aggregate_id.in_(select(wanted))))
    return frozenset((one.projection, one.generation, one.aggregate_id) for one in found)


async def park(connection: AsyncConnection, checkpoint: Checkpoint, poison: Sequence[Poison]) -> None:
    """Park events; only the first of each aggregate has an error, the others wait behind it."""
    rows = [
        _row(checkpoint.projection, checkpoint.generation, record, one.error if number == 0 else None)
        for one in poison
        for number, record in enumerate(one.records)
    ]
    if rows:
        # The engine's own table, whichever generation the connection is on.
        await connection.execute(insert(parked_events), rows, execution_options=on_generation("live"))


class ParkedAggregate(NamedTuple):
    """One aggregate that a projection could not bring along; `error` is that of the first event."""

    projection: str
    aggregate_type: str
    aggregate_id: UUID
    position: int
    version: int
    event_type: str
    event_id: UUID
    error: str
    attempts: int
    parked_at: object
    events: int


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
