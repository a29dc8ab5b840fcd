"""What a store of events does: read, and append many commits at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.event_log.events import EventId, NewEvent, Position, RecordedEvent, StreamId, Version
from shared.event_log.reader import EventLog


@dataclass(frozen=True, slots=True)
class Commit:
    """One or more events for one stream, to be appended together or not at all.

    `expected_version` is what the stream must be at; 0: it must not exist. `last_event_id` is the id of its last event,
    if that is known: another log may have another event at that version.
    """

    stream: StreamId
    expected_version: Version
    events: tuple[NewEvent, ...]
    last_event_id: EventId | None = None

    def __post_init__(self) -> None:
        """Refuse a commit of nothing."""
        if not self.events:
            raise ValueError("a commit holds at least one event")


@dataclass(frozen=True, slots=True)
class Appended:
    """The events are in the log; `version` is the last one's."""

    version: Version
    first_position: Position
    last_position: Position


@dataclass(frozen=True, slots=True)
class Duplicate:
    """These event ids were in this stream already, at these positions; `version` is the last one's."""

    version: Version
    first_position: Position
    last_position: Position


@dataclass(frozen=True, slots=True)
class Conflict:
    """The stream is at another version than expected, or at another event of that version; nothing was appended."""

    current_version: Version


@dataclass(frozen=True, slots=True)
class EventIdTaken:
    """The first event id belongs to another commit's event, at this position; nothing was appended."""

    position: Position


Outcome = Appended | Duplicate | Conflict | EventIdTaken


class EventStore(EventLog, Protocol):
    """A log that can be appended to."""

    async def find_event(self, event_id: EventId) -> RecordedEvent | None:
        """Give the event of this id, wherever it is in the log."""
        ...

    async def append(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        """Append commits, at most one per stream, in one transaction; give the outcome of each, in order.

        One commit's conflict does not disturb the others. Raises `DatabaseUnavailable` (nothing was sent),
        `OutcomeUnknown` (it was sent, no answer came) or `AppendRefused` (the database refused the data;
        nothing was appended).
        """
        ...

    async def settle(self) -> None:
        """Return when all that can be read now is kept as safely as an append that was answered.

        What was read may be of an append that nobody was answered, as it still waits, or gave up to wait, for a
        standby. Raises `OutcomeUnknown`.
        """
        ...
