"""Gives the states of aggregates: from this process's cache, the newest snapshot, and the events past it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic

from command_service.decider import Decider, E, S
from command_service.errors import InvalidSnapshot
from command_service.snapshot_taker import SnapshotTaker
from command_service.snapshots import Snapshot, SnapshotStore, StateSchema, Stored
from command_service.state_cache import CachedState, StateCache
from shared.event_log.events import EventId, Position, RecordedEvent, StreamId, Version
from shared.event_log.reader import EventLog
from shared.event_log.registry import EventRegistry

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known(Generic[S]):
    """A stream's state after the event of `version` and `event_id`, which is at `position` and occurred then.

    `current`: it was held against the log for this command; otherwise the stream may have moved on.
    `snapshot_version` is that of the newest snapshot that this process knows of.
    """

    stream: StreamId
    state: S
    version: Version = Version(0)
    position: Position = Position(0)
    occurred_at: datetime | None = None
    snapshot_version: Version = Version(0)
    current: bool = False
    event_id: EventId | None = None


class Repository(Generic[S, E]):
    """The states of one aggregate type; `cache` and `snapshots` may be shared with others."""

    def __init__(
        self,
        decider: Decider[Any, S, E],
        events: EventRegistry,
        schema: StateSchema[S],
        log: EventLog,
        snapshots: SnapshotStore,
        taker: SnapshotTaker,
        cache: StateCache,
    ) -> None:
        self._decider = decider
        self._events = events
        self._schema = schema
        self._log = log
        self._snapshots = snapshots
        self._taker = taker
        self._cache = cache

    def nothing(self, stream: StreamId) -> Known[S]:
        """Give the state of a stream that does not exist, without looking."""
        return Known(stream, self._decider.initial_state)

    def cached(self, stream: StreamId) -> Known[S] | None:
        """Give the state that this process knows, which may be out of date, without looking."""
        entry = self._cache.get(stream)
        if entry is None:
            return None
        try:
            state = self._schema.decode(entry.state)
        except InvalidSnapshot as error:
            _logger.warning("the cached state of %s %s is not used: %s", *stream, error)
            self._cache.forget(stream)
            return None
        at, version = entry.occurred_at, entry.version
        return Known(stream, state, version, entry.position, at, entry.snapshot_version, event_id=entry.event_id)

    async def load(self, stream: StreamId) -> Known[S]:
        """Read a state from the log. Raises `DatabaseUnavailable` and `EventSchemaError`."""
        self._cache.misses += 1
        stored = await self._snapshots.load(stream, self._schema.version)
        try:
            known = self._from_snapshot(stream, stored)
        except InvalidSnapshot as error:
            _logger.warning("the snapshot of %s %s is not used: %s", *stream, error)
            whole = await self._log.read_stream(stream)
            return self._remember(self.fold(self.nothing(stream), whole), due=True)
        return self._remember(known)

    async def catch_up(self, known: Known[S]) -> Known[S]:
        """Fold in what the stream holds past `known`. Raises as `load`."""
        if known.version == 0:
            return await self.load(known.stream)
        recorded = await self._log.read_stream(known.stream, Version(known.version - 1))
        if not recorded or recorded[0].event_id != known.event_id:
            # Another log than the one that this state is of: restored, or failed over to a server that lacked the tail.
            self._cache.forget(known.stream)
            return await self.load(known.stream)
        return self._remember(self.fold(known, recorded[1:]))

    def appended(
        self,
        before: Known[S],
        events: Sequence[E],
        position: Position,
        occurred_at: datetime,
        event_id: EventId | None = None,
    ) -> Known[S]:
        """Give the state after events that were just appended, the last one at `position` and of this id."""
        state = before.state
        for event in events:
            state = self._decider.evolve(state, event)
        version = Version(before.version + len(events))
        return self._remember(
            replace(before, state=state, version=version, position=position, occurred_at=occurred_at, event_id=event_id)
        )

    def fold(self, known: Known[S], recorded: Sequence[RecordedEvent]) -> Known[S]:
        """Give the state after more events of the stream, which are now known to be its last ones."""
        state = known.state
        for one in recorded:
            state = self._decider.evolve(state, self._decode(one))
        if not recorded:
            return replace(known, current=True)
        last = recorded[-1]
        return replace(
            known,
            state=state,
            version=last.version,
            position=last.position,
            occurred_at=last.occurred_at,
            event_id=last.event_id,
            current=True,
        )

    def _from_snapshot(self, stream: StreamId, stored: Stored) -> Known[S]:
        snapshot = stored.snapshot
        if snapshot is None:
            return self.fold(self.nothing(stream), stored.events)
        state, own = self._schema.decode(snapshot.state), stored.events[0]
        at, version = own.occurred_at, own.version
        known = Known(stream, state, version, own.position, at, snapshot.version, event_id=own.event_id)
        return self.fold(known, stored.events[1:])

    def _remember(self, known: Known[S], *, due: bool = False) -> Known[S]:
        """Keep a state in the cache, and have a snapshot taken if one is due."""
        at = known.occurred_at
        if at is None:
            return known  # There is no such stream.
        state = self._schema.encode(known.state)
        if due or known.version - known.snapshot_version >= self._schema.snapshot_every:
            self._taker.take(Snapshot(known.stream, known.version, state, self._schema.version, known.event_id))
            known = replace(known, snapshot_version=known.version)
        entry = CachedState(known.version, known.position, at, state, known.snapshot_version, known.event_id)
        self._cache.put(known.stream, entry)
        return known

    def _decode(self, recorded: RecordedEvent) -> E:
        # The registry of an aggregate holds its events only, so this is one of them.
        return self._events.decode(recorded)  # type: ignore[return-value]
