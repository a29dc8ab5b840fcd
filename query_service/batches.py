"""Applies the log to every projection, batch by batch.

One transaction locks the checkpoints, applies a batch, and moves them. So each event takes effect exactly once in each
projection however often anything crashes, two projectors never both write, and readers see all projections at one
position. Of projections that are divided, whoever applies a batch takes the partitions whose leases it holds; those that
come to one position are applied as one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service import checkpoints, tables
from query_service.checkpoints import Checkpoint, Held, State
from query_service.generations import SCHEMAS, Generation, on_generation
from query_service.isolation import Events, Poison, by_aggregate, describe, is_poison, isolate
from query_service.parking import Parked, park, parked_among
from query_service.partitions import Partition, of_partitions
from query_service.projection import DecodedEvent, Projection
from query_service.set_based import schema_of
from query_service.together import together
from shared.backoff import backoff
from shared.database import translate_errors
from shared.errors import EventSchemaError
from shared.event_log.events import Position, RecordedEvent, StreamId
from shared.event_log.reader import EventLog
from shared.event_log.registry import EventRegistry
from shared.ids import new_id_text

_logger = logging.getLogger(__name__)

_BATCH_BYTES = 8 * 1024 * 1024
"""In memory, decoded and as rows, events take about ten times the bytes of their JSON."""

_TRIES = 3
"""How often a batch is tried before the aggregates that make it fail are parked."""


Positions = Mapping[tuple[str, Partition], Position]
"""Where the live generations of projections are, partition by partition."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A batch: how many events one of its groups had at most, from where to where the live projections got, what it touched.

    If it `is_full`, there may be more to do at once. `records` are the events that live projections had not had.
    """

    events: int
    start: Positions
    positions: Positions
    aggregates: frozenset[StreamId] = frozenset()
    is_full: bool = False
    records: Sequence[RecordedEvent] = ()


@dataclass(frozen=True, slots=True)
class _Decoded:
    """Events decoded, once for all projections; `errors` tells what is wrong with those that cannot be, by position."""

    events: Mapping[Position, DecodedEvent]
    errors: Mapping[Position, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Group:
    """Checkpoints at one position, and the events of their partitions among those `passed` next, up to `end`."""

    checkpoints: Sequence[Checkpoint]
    records: Sequence[RecordedEvent]
    passed: int
    end: Position
    is_full: bool

    @property
    def is_live(self) -> bool:
        """Whether readers see what is applied."""
        return any(one.generation == "live" for one in self.checkpoints)


class Batches:
    """Applies batches of the log to the generations that follow it, at most `size` events at a time.

    A batch also ends with the event that brings it to `max_bytes` of JSON, so that memory is bounded (invariant I10).

    `name` is this applier's own, by which others, and itself, know in notifications who moved a checkpoint. `registry`
    is what it decodes events by.
    """

    def __init__(
        self,
        log: EventLog,
        events: EventRegistry,
        projections: Sequence[Projection],
        size: int,
        max_bytes: int = _BATCH_BYTES,
    ) -> None:
        self.size = size
        self.max_bytes = max_bytes
        self.name = new_id_text()
        self._log = log
        self.registry = events
        self._projections = {projection.name: projection for projection in projections}
        self._handled = frozenset().union(*(projection.event_types for projection in projections))

    async def apply_next(
        self,
        connection: AsyncConnection,
        *,
        isolating: bool = False,
        state: State = "following",
        held: Held | None = None,
    ) -> Applied:
        """Apply the next batch, in a transaction of its own, to every generation in this state that has not had it.

        With `held`, to the partitions among these whose lease is held still; without, to all, while nobody else can.
        With `isolating`, aggregates whose events cannot be applied are parked; without, nothing is applied and their
        error raised. Raises `DatabaseUnavailable`.
        """
        with translate_errors():
            # A batch that failed may have left the connection on another generation.
            await _turn_to(connection, "live")
            following, groups = await self._apply_groups(connection, state, held, isolating=isolating)
        start = {(one.projection, one.partition): one.position for one in following if one.generation == "live"}
        reached = dict(start)
        for group in groups:
            of_live = (one for one in group.checkpoints if one.generation == "live")
            reached |= {(one.projection, one.partition): group.end for one in of_live}
        return Applied(
            events=max((group.passed for group in groups), default=0),
            start=start,
            positions=reached,
            aggregates=frozenset(record.stream for group in groups for record in group.records),
            is_full=any(group.is_full for group in groups),
            records=next((group.records for group in groups if group.is_live), ()),
        )

    async def apply_patiently(self, connection: AsyncConnection, held: Held | None = None) -> Applied:
        """Apply the next batch to what follows the log: tried again first, for a while, and isolated if that is in vain."""
        delays = backoff(first=0.05, limit=1.0)
        for _ in range(_TRIES):
            try:
                return await self.apply_next(connection, held=held)
            except Exception as error:
                if not is_poison(error):
                    raise
                _logger.warning("a batch failed: %s", error)
                await asyncio.sleep(next(delays))
        return await self.apply_next(connection, isolating=True, held=held)

    async def _apply_groups(
        self, connection: AsyncConnection, state: State, held: Held | None, *, isolating: bool, alone: bool = False
    ) -> "tuple[list[Checkpoint], list[_Group]]":
        is_divided = held is not None and any(partition.of > 1 for partition in held)
        alone = is_divided and (alone or isolating)
        async with connection.begin():
            following = await self._lock(connection, state, held, alone=alone)
            if alone or not is_divided or len({one.position for one in following}) <= 1:
                groups = [group async for group in self._groups(following)]
                for group in groups:
                    await self._apply(connection, group, isolating=isolating)
                return following, groups
        return await self._apply_groups(connection, state, held, isolating=isolating, alone=True)

    async def _lock(
        self, connection: AsyncConnection, state: State, held: Held | None, *, alone: bool
    ) -> list[Checkpoint]:
        """Lock what a batch is applied to; `alone`, the other partitions too, for one that adds to sums in several steps.

        These would be in no order, in which those who apply batches at once do not deadlock.
        """
        projections = list(self._projections.values())
        if not alone:
            return await checkpoints.lock(connection, projections, state, held)
        assert held is not None
        mine = await checkpoints.lock_leases(connection, held)
        return [one for one in await checkpoints.lock(connection, projections, state) if one.partition in mine]

    async def _groups(self, following: Sequence[Checkpoint]) -> "AsyncIterator[_Group]":
        """Give the next events of those at one position, the foremost first; the others get no further than these.

        So one that has far to go, as a new projection, holds nobody up, and all meet at one position in the end.
        """
        last: Position | None = None
        for start in sorted({checkpoint.position for checkpoint in following}, reverse=True):
            records = await self._log.read_all(start, self.size, max_bytes=self.max_bytes)
            if last is None:
                last = records[-1].position if records else start
            if found := [record for record in records if record.position <= last]:
                is_full = len(found) == len(records) and self._is_full(records)
                those = [one for one in following if one.position == start]
                theirs = of_partitions(found, {one.partition for one in those})
                yield _Group(those, theirs, len(found), found[-1].position, is_full)

    def _is_full(self, records: Sequence[RecordedEvent]) -> bool:
        """Tell whether a bound, not the end of the log, may be why there are no more."""
        return len(records) == self.size or sum(record.size for record in records) >= self.max_bytes

    async def is_superseded(self, connection: AsyncConnection) -> bool:
        """Tell whether a newer release has built a live generation: only that release can bring it along.

        The caller owns the transaction.
        """
        row = tables.checkpoints.c
        query = select(row.projection, row.version).where(row.generation == "live")
        found = (await connection.execute(query)).all()
        known = self._projections
        return any(one.projection in known and one.version > known[one.projection].version for one in found)

    async def _apply(self, connection: AsyncConnection, group: "_Group", *, isolating: bool) -> None:
        handled = [record for record in group.records if record.event_type in self._handled]
        parked: Parked = frozenset()
        if any(checkpoint.has_parked for checkpoint in group.checkpoints):
            parked = await parked_among(connection, (record.stream.aggregate_id for record in handled))
        decoded = self._decode(handled, isolating=isolating)
        partitions = {one.partition for one in group.checkpoints}
        # In isolation, each try has to be written before the next.
        async with nullcontext() if isolating else together(connection):
            for (name, generation), those in checkpoints.by_generation(group.checkpoints).items():
                projection = self._projections[name]
                await _turn_to(connection, generation)
                wanted: Sequence[RecordedEvent] = [
                    record for record in handled if record.event_type in projection.event_types
                ]
                if (mine := {one.partition for one in those}) != partitions:
                    wanted = of_partitions(wanted, mine)
                events, poison = _split(wanted, those[0], decoded, parked)
                if isolating:
                    poison += await isolated(connection, projection, events)
                elif events:
                    await projection.apply(connection, events)
                await park(connection, those, poison)
            await _turn_to(connection, "live")
            await checkpoints.move(connection, group.checkpoints, group.end, self.name)

    def _decode(self, records: Sequence[RecordedEvent], *, isolating: bool) -> _Decoded:
        if not isolating:
            return _Decoded({record.position: DecodedEvent(record, self.registry.decode(record)) for record in records})
        events, errors = {}, {}
        for record in records:
            try:
                events[record.position] = DecodedEvent(record, self.registry.decode(record))
            except EventSchemaError as error:
                errors[record.position] = describe(error)
        return _Decoded(events, errors)


async def _turn_to(connection: AsyncConnection, generation: Generation) -> None:
    """Have the tables stand for a generation's, if they do not."""
    if schema_of(connection) != SCHEMAS[generation]:
        await connection.execution_options(**on_generation(generation))


def _split(
    records: Sequence[RecordedEvent], checkpoint: Checkpoint, decoded: _Decoded, parked: Parked
) -> tuple[list[DecodedEvent], list[Poison]]:
    """Give what can be applied, and what is to be parked: what cannot be decoded, and what is behind such events."""
    events: list[DecodedEvent] = []
    poison: dict[StreamId, tuple[list[RecordedEvent], str | None]] = {}
    for record in records:
        stream = record.stream
        if stream in poison:
            poison[stream][0].append(record)
        elif (checkpoint.projection, checkpoint.generation, stream.aggregate_id) in parked:
            poison[stream] = ([record], None)
        elif record.position in decoded.errors:
            poison[stream] = ([record], decoded.errors[record.position])
        else:
            events.append(decoded.events[record.position])
    return events, [Poison(*one) for one in poison.values()]


async def isolated(connection: AsyncConnection, projection: Projection, events: Events) -> list[Poison]:
    """Apply the events of every aggregate whose events can be applied; give the others."""

    async def write(aggregates: Sequence[Events]) -> None:
        batch = sorted((one for events in aggregates for one in events), key=lambda one: one.record.position)
        await projection.apply(connection, batch)

    return await isolate(connection, by_aggregate(events), write) if events else []
