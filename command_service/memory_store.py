"""The event store in memory: for learning and fast tests, with the same contract as PostgreSQL's."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from command_service.errors import AppendRefused
from command_service.event_store import Appended, Commit, Conflict, Duplicate, EventIdTaken, Outcome
from command_service.snapshots import Snapshot, Stored
from shared.event_log.events import EventId, Position, RecordedEvent, StreamId, Version
from shared.event_log.reader import EventLog


class InMemoryEventStore:
    """Keeps events in lists; appends take effect at once, in order."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._log: list[RecordedEvent] = []
        self._streams: dict[StreamId, list[RecordedEvent]] = {}
        self._by_id: dict[EventId, RecordedEvent] = {}

    async def append(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        """See `EventStore.append`."""
        refusals = [self._refusal(commit) for commit in commits]
        self._require_unique([commit for commit, refusal in zip(commits, refusals, strict=True) if refusal is None])
        return [refusal or self._append(commit) for commit, refusal in zip(commits, refusals, strict=True)]

    async def read_stream(self, stream: StreamId, after_version: Version = Version(0)) -> Sequence[RecordedEvent]:
        """See `EventLog.read_stream`."""
        return self._streams.get(stream, [])[after_version:]

    async def read_all(
        self,
        after_position: Position,
        limit: int,
        types: Collection[str] | None = None,
        max_bytes: int | None = None,
    ) -> Sequence[RecordedEvent]:
        """See `EventLog.read_all`."""
        wanted = (event for event in self._log[after_position:] if types is None or event.event_type in types)
        found: list[RecordedEvent] = []
        size = 0
        while len(found) < limit and (max_bytes is None or size < max_bytes) and (event := next(wanted, None)):
            found.append(event)
            size += event.size
        return found

    async def find_event(self, event_id: EventId) -> RecordedEvent | None:
        """See `EventStore.find_event`."""
        return self._by_id.get(event_id)

    async def touched(self, after: Position, upto: Position) -> frozenset[StreamId]:
        """See `EventLog.touched`."""
        return frozenset(event.stream for event in self._log[after:upto])

    async def head(self) -> Position:
        """See `EventLog.head`."""
        return Position(len(self._log))

    async def settle(self) -> None:
        """See `EventStore.settle`."""

    def _refusal(self, commit: Commit) -> Outcome | None:
        """Say why a commit is not appended to the log as it is before the call; None if it is."""
        known = self._by_id.get(commit.events[0].event_id)
        if known is not None:
            return self._known(commit, known)
        stream = self._streams.get(commit.stream, [])
        is_other = commit.last_event_id is not None and (not stream or stream[-1].event_id != commit.last_event_id)
        return Conflict(Version(len(stream))) if is_other or len(stream) != commit.expected_version else None

    def _require_unique(self, commits: Sequence[Commit]) -> None:
        streams = [commit.stream for commit in commits]
        ids = [event.event_id for commit in commits for event in commit.events]
        if len(set(streams)) < len(streams) or len(set(ids)) < len(ids):
            raise AppendRefused("a stream or an event id occurs twice")
        if not self._by_id.keys().isdisjoint(ids):
            raise AppendRefused("an event id is taken")

    def _append(self, commit: Commit) -> Outcome:
        stream = self._streams.setdefault(commit.stream, [])
        first = Position(len(self._log) + 1)
        for event in commit.events:
            recorded = RecordedEvent(
                position=Position(len(self._log) + 1),
                stream=commit.stream,
                version=Version(len(stream) + 1),
                event_type=event.event_type,
                schema_version=event.schema_version,
                event_id=event.event_id,
                data=event.data,
                metadata=event.metadata,
                occurred_at=event.occurred_at,
                recorded_at=self._now(),
            )
            self._log.append(recorded)
            self._by_id[recorded.event_id] = recorded
            stream.append(recorded)
        return Appended(Version(len(stream)), first, Position(len(self._log)))

    def _known(self, commit: Commit, first: RecordedEvent) -> Outcome:
        recorded = self._log[first.position - 1 :][: len(commit.events)]
        wanted = [(commit.stream, event.event_id) for event in commit.events]
        if [(event.stream, event.event_id) for event in recorded] != wanted:
            return EventIdTaken(first.position)
        return Duplicate(recorded[-1].version, first.position, recorded[-1].position)


class InMemorySnapshotStore:
    """Keeps the newest snapshot of each stream in a dict, beside any log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._snapshots: dict[StreamId, Snapshot] = {}

    async def load(self, stream: StreamId, state_schema_version: int) -> Stored:
        """See `SnapshotStore.load`."""
        snapshot = self._snapshots.get(stream)
        if snapshot is not None and snapshot.state_schema_version == state_schema_version:
            events = await self._log.read_stream(stream, Version(snapshot.version - 1))
            if events and snapshot.last_event_id in {None, events[0].event_id}:
                return Stored(snapshot, events)
        return Stored(None, await self._log.read_stream(stream))

    async def save(self, snapshots: Sequence[Snapshot]) -> None:
        """See `SnapshotStore.save`."""
        for new in snapshots:
            kept = self._snapshots.get(new.stream)
            if kept is None or new.version >= kept.version or new.state_schema_version != kept.state_schema_version:
                self._snapshots[new.stream] = new
