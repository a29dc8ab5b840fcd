"""Applies parked events again, or gives them up."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service import checkpoints, parking
from query_service.batches import isolated
from query_service.generations import on_generation
from query_service.isolation import describe
from query_service.parking import ParkedAggregate, parked_aggregates
from query_service.projection import DecodedEvent, Projection
from query_service.projector import RESET
from query_service.rebuild.requests import tell
from shared.database import fetch_all, translate_errors
from shared.errors import EventSchemaError
from shared.event_log.events import RecordedEvent, StreamId, Version
from shared.event_log.reader import EventLog
from shared.event_log.registry import EventRegistry

_AT_ONCE = 1000


class Retried(NamedTuple):
    """How many events were applied, and how many are parked still."""

    applied: int
    parked: int


class Retrying:
    """Works aggregate by aggregate, each in one transaction; `engine` is not in autocommit."""

    def __init__(
        self, log: EventLog, events: EventRegistry, projections: Sequence[Projection], engine: AsyncEngine
    ) -> None:
        self._log = log
        self._events = events
        self._projections = {projection.name: projection for projection in projections}
        self._engine = engine

    async def retry(self, names: Sequence[str], aggregate_id: UUID | None = None) -> Retried:
        """Apply, in order and by today's code, what these projections have parked, of one aggregate or all.

        Raises `DatabaseUnavailable`.
        """
        applied = parked = 0
        for name in names:
            after, tried = 0, set[UUID]()
            while found := await self._next([name], after, aggregate_id):
                for one in found:
                    if one.aggregate_id not in tried:
                        tried.add(one.aggregate_id)
                        result = await self._retry(one)
                        applied, parked = applied + result.applied, parked + result.parked
                after = found[-1].position
        return Retried(applied, parked)

    async def discard(self, names: Sequence[str], aggregate_id: UUID) -> int:
        """Give up an aggregate's parked events: those that come after them are applied without them.

        Gives the number of events. Raises `DatabaseUnavailable`.
        """
        count = 0
        with translate_errors():
            for name in names:
                async with self._engine.begin() as connection:
                    await checkpoints.lock(connection, [self._projections[name]])
                    positions = await parking.waiting(connection, name, aggregate_id)
                    await parking.release(connection, name, positions)
                    await tell(connection, RESET)
                count += len(positions)
        return count

    async def _next(self, names: Sequence[str], after: int, aggregate_id: UUID | None) -> list[ParkedAggregate]:
        rows = await fetch_all(self._engine, parked_aggregates(names, after, _AT_ONCE, aggregate_id))
        return [ParkedAggregate(*row) for row in rows]

    async def _retry(self, one: ParkedAggregate) -> Retried:
        projection = self._projections[one.projection]
        with translate_errors():
            async with self._engine.begin() as connection:
                # Whoever projects waits, so that nothing comes in behind what is applied here.
                locked = await checkpoints.lock(connection, [projection])
                positions = await parking.waiting(connection, one.projection, one.aggregate_id)
                if not any(checkpoint.generation == "live" for checkpoint in locked):
                    # Built by another version of the code, which alone may bring it along.
                    return Retried(0, len(positions))
                stream = StreamId(one.aggregate_type, one.aggregate_id)
                recorded = await self._log.read_stream(stream, Version(one.version - 1))
                records = [record for record in recorded if record.position in positions]
                failed, error = await self._apply(connection, projection, records)
                applied = [record.position for record in records if failed is None or record.position < failed.position]
                await parking.release(connection, one.projection, applied)
                if failed is not None:
                    await parking.failed_again(connection, one.projection, failed.position, error)
                await tell(connection, RESET)
        return Retried(len(applied), len(positions) - len(applied))

    async def _apply(
        self, connection: AsyncConnection, projection: Projection, records: Sequence[RecordedEvent]
    ) -> tuple[RecordedEvent | None, str]:
        """Apply an aggregate's events; give the first that could not be, and what is wrong with it."""
        events: list[DecodedEvent] = []
        broken: tuple[RecordedEvent | None, str] = (None, "")
        for record in records:
            try:
                events.append(DecodedEvent(record, self._events.decode(record)))
            except EventSchemaError as error:
                broken = record, describe(error)
                break
        await connection.execution_options(**on_generation("live"))
        for poison in await isolated(connection, projection, events):
            return poison.records[0], poison.error or ""
        return broken
