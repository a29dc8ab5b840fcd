"""What the log holds: streams, versions, positions, and events before and after they are recorded."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NamedTuple, NewType
from uuid import UUID

from pydantic import BaseModel, ConfigDict

Position = NewType("Position", int)
"""Place of an event in the whole log: 1, 2, 3 … without a gap; 0 is before the first."""

Version = NewType("Version", int)
"""Place of an event in its stream: 1, 2, 3 … without a gap; 0 is a stream that does not exist."""

EventId = NewType("EventId", UUID)
"""Identity of an event, unique in the log; made by the writer, so that a repeated write is recognised."""


class StreamId(NamedTuple):
    """The stream of one aggregate."""

    aggregate_type: str
    aggregate_id: UUID


class DomainEvent(BaseModel):
    """Base class of an aggregate's events: a fact in the past tense, immutable, free of I/O types.

    `event_type` is the stable name under which it is stored, `schema_version` the version of its shape.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    event_type: ClassVar[str]
    schema_version: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event decided but not yet recorded; `data` and `metadata` are JSON texts of objects."""

    event_id: EventId
    event_type: str
    schema_version: int
    data: str
    metadata: str
    occurred_at: datetime


class RecordedEvent(NamedTuple):
    """An event as the log holds it; `data` and `metadata` are JSON texts of objects, times are in UTC."""

    position: Position
    stream: StreamId
    version: Version
    event_type: str
    schema_version: int
    event_id: EventId
    data: str
    metadata: str
    occurred_at: datetime
    recorded_at: datetime

    @property
    def size(self) -> int:
        """Give the bytes of its JSON."""
        return _bytes(self.data) + _bytes(self.metadata)

    def origin(self, name: str) -> str | None:
        """Give a text of its metadata, such as `correlation_id`; None if there is none."""
        members = json.loads(self.metadata)
        told = members.get(name) if isinstance(members, dict) else None
        return told if isinstance(told, str) else None


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
