"""The root of Daicho's errors and the leaves that both services can meet.

DaichoError
* EventLogError
  x EventSchemaError
    + UnknownEventType
    + UnknownSchemaVersion
    + InvalidEventData
    + EventOutOfPlace
* DatabaseUnavailable (JetStream's as well: `shared.jetstream.errors`)
* Overloaded
* OutcomeUnknown

Each package draws its own branch at the top of its own module. Leaves carry data; the API layer alone
knows what status and slug an error has (`shared.problems`).
"""

from uuid import UUID


class DaichoError(Exception):
    """Base class for every error that Daicho raises on purpose."""

    def members(self) -> dict[str, object]:
        """Give the data that a problem response adds for its reader, by member name."""
        return {}


class EventLogError(DaichoError):
    """Base class for errors of the log as such."""


class EventSchemaError(EventLogError):
    """Base class for recorded events that this release cannot read."""

    def __init__(self, event_type: str, schema_version: int, event_id: UUID | None, reason: str) -> None:
        self.event_type = event_type
        self.schema_version = schema_version
        self.event_id = event_id
        where = f" (event {event_id})" if event_id else ""
        super().__init__(f"{event_type} version {schema_version}{where}: {reason}")


class UnknownEventType(EventSchemaError):
    """No class is registered under the event's type."""


class UnknownSchemaVersion(EventSchemaError):
    """The event was written by a newer release, or its upcaster is missing."""


class InvalidEventData(EventSchemaError):
    """The event's data does not fit the class registered for its type and version."""


class EventOutOfPlace(EventSchemaError):
    """The event is about something that, by the events before it, does not exist."""


class DatabaseUnavailable(DaichoError):
    """PostgreSQL cannot be reached or refused the connection; nothing was changed."""


class Overloaded(DaichoError):
    """A bounded queue is full; nothing was changed."""


class OutcomeUnknown(DaichoError):
    """The append was sent, but no answer came in time: it may or may not have taken effect."""

    def __init__(self) -> None:
        super().__init__(
            "The command may or may not have taken effect. Repeat it with its Idempotency-Key, or read the order."
        )
