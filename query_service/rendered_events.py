"""Events as Server-Sent Events, written once for all who follow the log."""

from typing import Literal, NamedTuple

from fastapi.sse import format_sse_event

from query_service.event_pages import EventTraits
from shared.event_log.events import Position, RecordedEvent
from shared.event_log.json_form import event_json
from shared.event_log.registry import EventRegistry

Schema = Literal["current", "stored"]

_ENTRY_BYTES = 700
"""What an event takes beside its text, measured and rounded up."""


class RenderedEvent(NamedTuple):
    """An event as it goes to clients, in both forms: the same object where they do not differ."""

    position: Position
    traits: EventTraits
    current: bytes
    stored: bytes

    @property
    def size(self) -> int:
        """The memory that it takes, in bytes."""
        text = len(self.current) if self.stored is self.current else len(self.current) + len(self.stored)
        return text + _ENTRY_BYTES


def render(event: RecordedEvent, events: EventRegistry) -> RenderedEvent:
    """Write an event in both forms."""
    current = events.to_current(event)
    stored = _message(event)
    return RenderedEvent(
        event.position, EventTraits.of(event), stored if current is event else _message(current), stored
    )


def render_as(event: RecordedEvent, schema: Schema, events: EventRegistry) -> bytes:
    """Write an event in one form."""
    return _message(events.to_current(event) if schema == "current" else event)


def position_message(position: Position, comment: str) -> bytes:
    """Write a comment and an id without data: it dispatches no event, but a client that reconnects does so from there."""
    return format_sse_event(comment=comment, id=str(position))


def _message(event: RecordedEvent) -> bytes:
    return format_sse_event(event=event.event_type, data_str=event_json(event), id=str(event.position))
