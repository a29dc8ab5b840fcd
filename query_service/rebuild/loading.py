"""Loads the ranges of a run into next generations; any number of processes may at once."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from time import process_time
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service.checkpoints import COLUMNS, Checkpoint, checkpoint
from query_service.generations import on_generation
from query_service.isolation import Events, Poison, describe, isolate
from query_service.parking import park
from query_service.projection import DecodedEvent, Loader, Projection
from query_service.rebuild import ranges
from query_service.rebuild.giving_way import GivingWay
from query_service.rebuild.ranges import Range
from query_service.tables import checkpoints
from shared.database import translate_errors
from shared.errors import EventSchemaError
from shared.event_log.events import Position, RecordedEvent
from shared.event_log.reader import RECORDED_COLUMNS, recorded
from shared.event_log.registry import EventRegistry
from shared.event_log.tables import events

_ROWS_AT_ONCE = 500
_CHUNK_EVENTS = 5_000
_CHUNK_BYTES = 32 << 20
"""Where what was read is written, though the range goes on: what a worker holds is bounded."""


class RangeLoader:
    """Loads ranges until there are none; both engines' statements may take any time, the read one is not in autocommit."""

    def __init__(
        self,
        events: EventRegistry,
        projections: Sequence[Projection],
        log_engine: AsyncEngine,
        read_engine: AsyncEngine,
    ) -> None:
        self._events = events
        self._projections = {projection.name: projection for projection in projections}
        self._handled = frozenset().union(*(projection.event_types for projection in projections))
        self._log_engine = log_engine
        self._read_engine = read_engine

    async def run(self, run: UUID) -> None:
        """Load what is left of a run. Raises `DatabaseUnavailable`."""
        with translate_errors():
            async with self._read_engine.connect() as connection, self._log_engine.connect() as log:
                giving_way, started = GivingWay(connection, log), process_time()
                while await self._load_next(connection, log, run):
                    await giving_way.after(process_time() - started)
                    started = process_time()

    async def _load_next(self, connection: AsyncConnection, log: AsyncConnection, run: UUID) -> bool:
        async with connection.begin(), log.begin():
            into = await _locked(connection, run)
            if not into or any(one.version != self._projections[one.projection].version for one in into):
                return False
            claimed = await ranges.claim(connection, run)
            if claimed is None:
                return False
            await connection.execution_options(**on_generation("next"))
            loaders = {one.projection: self._loader(one.projection) for one in into}
            count = 0
            async for chunk in self._chunks(log, claimed, into[0].position):
                for checkpoint in into:
                    await self._load(connection, checkpoint, loaders[checkpoint.projection], chunk.aggregates)
                count += chunk.events
            # All processes in the same order, so that they do not deadlock.
            for loader in loaders.values():
                await loader.write_sums(connection)
            await connection.execution_options(**on_generation("live"))
            await ranges.loaded(connection, run, claimed.number, count)
        return True

    async def _chunks(self, log: AsyncConnection, claimed: Range, upto: Position) -> "AsyncIterator[_Chunk]":
        """Give the range's events, aggregate by aggregate, many aggregates at a time, decoded once for all."""
        aggregates: list[list[_Read]] = []
        stream, count, size = None, 0, 0
        async with log.stream(_of_range(claimed, upto)) as rows:
            async for some in rows.partitions(_ROWS_AT_ONCE):
                for record in map(recorded, some):
                    if record.stream != stream:
                        if count >= _CHUNK_EVENTS or size >= _CHUNK_BYTES:
                            yield _Chunk(aggregates, count)
                            aggregates, count, size = [], 0, 0
                        aggregates.append([])
                        stream = record.stream
                    if record.event_type in self._handled:
                        aggregates[-1].append(self._decode(record))
                    count, size = count + 1, size + len(record.data)
        yield _Chunk(aggregates, count)

    async def _load(
        self,
        connection: AsyncConnection,
        checkpoint: Checkpoint,
        loader: Loader,
        chunk: "Sequence[Sequence[_Read]]",
    ) -> None:
        """Write the rows of some aggregates, and park events of others."""
        types = self._projections[checkpoint.projection].event_types
        aggregates: list[Events] = []
        poison: list[Poison] = []
        for read in chunk:
            handled, broken = _handled(types, read)
            if handled:
                aggregates.append(handled)
            if broken is not None:
                poison.append(broken)
        if aggregates:
            poison += await isolate(connection, aggregates, partial(loader.write, connection))
        await park(connection, [checkpoint], poison)

    def _loader(self, projection: str) -> Loader:
        loader = self._projections[projection].loader()
        assert loader is not None
        return loader

    def _decode(self, record: RecordedEvent) -> "_Read":
        try:
            return DecodedEvent(record, self._events.decode(record))
        except EventSchemaError as error:
            return _Undecodable(record, describe(error))


async def _locked(connection: AsyncConnection, run: UUID) -> list[Checkpoint]:
    """Give the first checkpoint of each generation of a run; whoever gives it up waits until a range is written."""
    row = checkpoints.c
    query = select(*COLUMNS).where(row.run == run, row.partition == 0).order_by(row.projection)
    return list(map(checkpoint, await connection.execute(query.with_for_update(key_share=True, read=True))))


class _Undecodable(NamedTuple):
    record: RecordedEvent
    error: str


_Read = DecodedEvent | _Undecodable


class _Chunk(NamedTuple):
    """Some aggregates' events that are handled by any projection; `events` counts the others too."""

    aggregates: Sequence[Sequence[_Read]]
    events: int


def _handled(types: frozenset[str], read: Sequence[_Read]) -> tuple[Events, Poison | None]:
    """Give an aggregate's events of these types, up to the first that cannot be decoded."""
    handled = [one for one in read if one.record.event_type in types]
    for number, one in enumerate(handled):
        if isinstance(one, _Undecodable):
            return _handled(types, handled[:number])[0], Poison([each.record for each in handled[number:]], one.error)
    return cast("Events", handled), None


def _of_range(claimed: Range, upto: Position) -> Any:
    return RECORDED_COLUMNS.where(
        events.c.aggregate_type == claimed.aggregate_type,
        events.c.aggregate_id.between(claimed.first_id, claimed.last_id),
        events.c.position <= upto,
    ).order_by(events.c.aggregate_id, events.c.version)
