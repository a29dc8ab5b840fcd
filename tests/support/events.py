"""Events and commits for tests of the log, which does not care what is in them."""

import json
from datetime import UTC, datetime
from uuid import uuid4

from command_service.event_store import Commit
from shared.event_log.events import EventId, NewEvent, StreamId, Version

WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def a_stream() -> StreamId:
    return StreamId("thing", uuid4())


def an_event(event_id: EventId | None = None, data: object = None, event_type: str = "Happened") -> NewEvent:
    return NewEvent(
        event_id=event_id or EventId(uuid4()),
        event_type=event_type,
        schema_version=1,
        data=json.dumps({"n": 1} if data is None else data),
        metadata=json.dumps({"correlation_id": "test"}),
        occurred_at=WHEN,
    )


def a_commit(stream: StreamId | None = None, expected: int = 0, *events: NewEvent) -> Commit:
    return Commit(stream or a_stream(), Version(expected), events or (an_event(),))
