"""An event as JSON, as the API, streams, exports and the command line show it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from shared.event_log.events import RecordedEvent


class EventForm(BaseModel):
    """One event of the log; `schema_version` is that of `data` as shown here."""

    position: int = Field(ge=1, description="Its place in the whole log: 1, 2, 3 … without a gap", examples=[1])
    event_id: UUID = Field(description="Its own id", examples=["0199b7a4-7c00-7000-8000-0000000000e1"])
    aggregate_type: str = Field(description="What it happened to", examples=["order"])
    aggregate_id: UUID = Field(
        description="The id of what it happened to", examples=["0199b7a4-7c00-7000-8000-000000000001"]
    )
    version: int = Field(ge=1, description="Its place in its stream: 1, 2, 3 … without a gap", examples=[1])
    event_type: str = Field(description="What happened, by its stable name", examples=["OrderPlaced"])
    schema_version: int = Field(ge=1, description="The version of the shape of `data`, as shown here", examples=[2])
    occurred_at: datetime = Field(
        description="When it was decided; in a stream, later than the one before",
        examples=["2026-01-02T03:04:05.678901Z"],
    )
    data: dict[str, Any] = Field(
        description="What else is to be said of it; the event catalogue has its JSON Schema", examples=[{}]
    )
    metadata: Mapping[str, Any] = Field(
        description="correlation_id, causation_id (the command's), actor and traceparent, where there were such",
        examples=[{"correlation_id": "checkout-7f3a"}],
    )


def event_json(event: RecordedEvent) -> str:
    """Write an event as `EventForm` describes it, on one line; data and metadata stay as they are stored."""
    head = {
        "position": event.position,
        "event_id": str(event.event_id),
        "aggregate_type": event.stream.aggregate_type,
        "aggregate_id": str(event.stream.aggregate_id),
        "version": event.version,
        "event_type": event.event_type,
        "schema_version": event.schema_version,
        "occurred_at": format_time(event.occurred_at),
    }
    return f'{json.dumps(head)[:-1]}, "data": {event.data}, "metadata": {event.metadata}}}'


def format_time(at: datetime) -> str:
    """Write a time in UTC, to the microsecond, as RFC 3339 has it."""
    in_utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return f"{in_utc.isoformat(timespec='microseconds')[:-6]}Z"
