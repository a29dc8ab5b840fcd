"""Applies parked events again, or gives them up."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service import checkpoints, parking
from query_service.batches import isolated
from query_service.checkpoints import Checkpoint
from query_service.generations import on_generation
from query_service.isolation import describe
from query_service.parking import ParkedAggregate, parked_aggregates
from query_service.projection import DecodedEvent, Projection
from query_service.rebuild.requests import tell
from query_service.tables import RESET
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

        A next generation that moves with the live one has the same done to it; the numbers are the live one's.
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
                    positions = await parking.waiting(connection, name, "live", aggregate_id)
                    await parking.release(connection, name, "live", positions)
                    await tell(connection, RESET)
                count += len(positions)
        return count

    async def catch_up(self, name: str) -> None:
        """Do in a next generation, which follows by now, what was retried in the live one before it did.

        Raises `DatabaseUnavailable`.
        """
        projection = self._projections[name]
        with translate_errors():
            async with self._engine.begin() as connection:
                # Who retries holds these locks; if they are had later than here, it is done in both.
                locked = await checkpoints.lock(connection, [projection])
                if not any(checkpoint.generation == "live" for checkpoint in locked):
                    # Another version's: what that one could apply says nothing about this one.
                    return
                streams = await parking.parked_in_next_alone(connection, name)
            for stream in streams:
                async with self._engine.begin() as connection:
                    following = checkpoints.by_generation(await checkpoints.lock(connection, [projection]))
                    if partitions := following.get((name, "next")):
                        await self._retry_in(connection, partitions[0], stream)

    async def _next(self, names: Sequence[str], after: int, aggregate_id: UUID | None) -> list[ParkedAggregate]:
        rows = await fetch_all(self._engine, parked_aggregates(names, after, _AT_ONCE, aggregate_id))
        return [ParkedAggregate(*row) for row in rows]

    async def _retry(self, one: ParkedAggregate) -> Retried:
        projection = self._projections[one.projection]
        stream = StreamId(one.aggregate_type, one.aggregate_id)
        with translate_errors():
            async with self._engine.begin() as connection:
                # Whoever projects waits, so that nothing comes in behind what is applied here.
                await checkpoints.lock(connection, [projection])
                # While that one waited, a next generation may have begun to follow: now none can unnoticed.
                locked = await checkpoints.lock(connection, [projection])
                if not any(checkpoint.generation == "live" for checkpoint in locked):
                    # Built by another version of the code, which alone may bring it along.
                    positions = await parking.waiting(connection, projection.name, "live", stream.aggregate_id)
                    return Retried(0, len(positions))
                firsts = [those[0] for those in checkpoints.by_generation(locked).values()]
                results = {one.generation: await self._retry_in(connection, one, stream) for one in firsts}
                await tell(connection, RESET)
        return results["live"]

    async def _retry_in(self, connection: AsyncConnection, checkpoint: Checkpoint, stream: StreamId) -> Retried:
        """Apply what a generation has parked of a stream; what it has not come to yet, it will apply as it gets there.

        The stream is read to its end, so what is held in memory is bounded by the longest stream alone.
        """
        name, generation = checkpoint.projection, checkpoint.generation
        versions = await parking.waiting(connection, name, generation, stream.aggregate_id)
        if not versions:
            return Retried(0, 0)
        recorded = await self._log.read_stream(stream, Version(min(versions.values()) - 1))
        records = [record for record in recorded if record.position in versions]
        failed, error = await self._apply(connection, checkpoint, records)
        applied = [record.position for record in records if failed is None or record.position < failed.position]
        await parking.release(connection, name, generation, applied)
        if failed is not None:
            await parking.failed_again(connection, name, generation, failed.position, error)
        return Retried(len(applied), len(versions) - len(applied))

    async def _apply(
        self, connection: AsyncConnection, checkpoint: Checkpoint, records: Sequence[RecordedEvent]
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
        await connection.execution_options(**on_generation(checkpoint.generation))
        found = await isolated(connection, self._projections[checkpoint.projection], events)
        await connection.execution_options(**on_generation("live"))
        for poison in found:
            return poison.records[0], poison.error or ""
        return broken
