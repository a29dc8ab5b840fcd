"""Snapshots: the state of an aggregate at a version, kept so that a load need not start at the first event.

A snapshot is a cache of the log. It only ever saves reads: without it, or with one that cannot be used, the
state is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

from pydantic import TypeAdapter, ValidationError

from command_service.decider import S
from command_service.errors import InvalidSnapshot
from shared.event_log.events import EventId, RecordedEvent, StreamId, Version


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stream's state after the event of this version and id (None: whichever it is); `state` is JSON in UTF-8."""

    stream: StreamId
    version: Version
    state: bytes
    state_schema_version: int
    last_event_id: EventId | None = None


@dataclass(frozen=True, slots=True)
class StateSchema(Generic[S]):
    """How an aggregate's state is written down.

    `version` counts up whenever the state's shape, or what `evolve` makes of the same events, changes:
    snapshots and cached states of another version are not used. A snapshot is due every `snapshot_every` events.
    """

    state_type: Any
    version: int = 1
    snapshot_every: int = 100
    _adapter: TypeAdapter[S] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare for the type."""
        object.__setattr__(self, "_adapter", TypeAdapter(self.state_type))

    def encode(self, state: S) -> bytes:
        """Write a state as JSON."""
        return self._adapter.dump_json(state)

    def decode(self, state: bytes) -> S:
        """Read a state.

        Raises `InvalidSnapshot`.
        """
        try:
            return self._adapter.validate_json(state)
        except ValidationError as error:
            reasons = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise InvalidSnapshot("; ".join(reasons)) from None

    def json_schema(self) -> dict[str, Any]:
        """Give the JSON Schema of a written state."""
        return self._adapter.json_schema(mode="serialization")


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store holds of a stream: its newest snapshot, and its events from the snapshot's own last one on.

    Without a snapshot, all its events.
    """

    snapshot: Snapshot | None
    events: Sequence[RecordedEvent]


class SnapshotStore(Protocol):
    """Keeps the newest snapshot of each stream, beside the log."""

    async def load(self, stream: StreamId, state_schema_version: int) -> Stored:
        """Give what is needed to know the stream's state, in one read.

        Snapshots of another schema version, and such as are not of an event of this log, are left out. Raises `DatabaseUnavailable`.
        """
        ...

    async def save(self, snapshots: Sequence[Snapshot]) -> None:
        """Keep these, at most one per stream; an older snapshot does not replace a newer one of the same schema.

        Raises `DatabaseUnavailable`.
        """
        ...
