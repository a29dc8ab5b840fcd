"""An event as a message: its JSON, in which data and metadata are the very texts that PostgreSQL gives."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from shared.event_log.events import EventId, Position, RecordedEvent, StreamId, Version
from shared.event_log.json_form import format_time
from shared.jetstream.errors import StreamUnfit

SUBJECTS = "daicho.events"
"""What every event's subject begins with."""

POSITION = "Daicho-Position"
EVENT_TYPE = "Daicho-Event-Type"
SCHEMA_VERSION = "Daicho-Schema-Version"
MESSAGE_ID = "Nats-Msg-Id"
EXPECTED_STREAM = "Nats-Expected-Stream"
EXPECTED_LAST = "Nats-Expected-Last-Sequence"

_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
_METADATA, _DATA = ', "metadata": ', ', "data": '
_text = lru_cache(maxsize=1000)(json.dumps)
_scan = json.JSONDecoder().raw_decode


def subject(stream: StreamId) -> str:
    """Give the subject of an aggregate's events."""
    return f"{_subject(stream.aggregate_type)}.{stream.aggregate_id}"


@lru_cache(maxsize=1000)
def _subject(aggregate_type: str) -> str:
    if not _TOKEN.fullmatch(aggregate_type):
        raise StreamUnfit(f"the aggregate type {aggregate_type!r} cannot be part of a subject of NATS")
    return f"{SUBJECTS}.{aggregate_type}"


def headers(event: RecordedEvent, stream: str) -> dict[str, str]:
    """Give an event's headers, by which the server keeps what is not next out of the stream."""
    return {
        MESSAGE_ID: str(event.event_id),
        EXPECTED_STREAM: stream,
        EXPECTED_LAST: str(event.position - 1),
        POSITION: str(event.position),
        EVENT_TYPE: event.event_type,
        SCHEMA_VERSION: str(event.schema_version),
    }


def encode(event: RecordedEvent) -> bytes:
    """Write an event as a JSON object."""
    # By hand: the relay's time goes here. Ids and times need no escaping.
    return (
        f'{{"position": {event.position}, "event_id": "{event.event_id}", '
        f'"aggregate_type": {_text(event.stream.aggregate_type)}, "aggregate_id": "{event.stream.aggregate_id}", '
        f'"version": {event.version}, "event_type": {_text(event.event_type)}, "schema_version": {event.schema_version}, '
        f'"occurred_at": "{format_time(event.occurred_at)}", "recorded_at": "{format_time(event.recorded_at)}"'
        f"{_METADATA}{event.metadata}{_DATA}{event.data}}}"
    ).encode()


def decode(payload: bytes) -> RecordedEvent:
    """Read what `encode` wrote; raises `StreamUnfit` for what is none."""
    try:
        text = payload.decode()
        # No name or value of the head can hold this: a quote in one is escaped.
        head_end = text.index(_METADATA)
        head: Mapping[str, Any] = json.loads(f"{text[:head_end]}}}")
        start = head_end + len(_METADATA)
        _, end = _scan(text, start)
        if not (text.startswith(_DATA, end) and text.endswith("}}")):
            raise ValueError("no data")  # noqa: TRY301 - told like what json finds
        return RecordedEvent(
            Position(head["position"]),
            StreamId(head["aggregate_type"], UUID(head["aggregate_id"])),
            Version(head["version"]),
            head["event_type"],
            head["schema_version"],
            EventId(UUID(head["event_id"])),
            text[end + len(_DATA) : -1],
            text[start:end],
            datetime.fromisoformat(head["occurred_at"]),
            datetime.fromisoformat(head["recorded_at"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StreamUnfit("the stream holds a message that no relay of Daicho wrote") from error
