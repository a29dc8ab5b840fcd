"""What a projection is. The engine (`query_service.projector`) knows no more of one than this."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.errors import EventOutOfPlace
from shared.event_log.events import DomainEvent, RecordedEvent


class DecodedEvent(NamedTuple):
    """A recorded event with its data as an object of its current class."""

    record: RecordedEvent
    event: DomainEvent


def out_of_place(record: RecordedEvent, reason: str) -> EventOutOfPlace:
    """Make the error of an event that cannot follow those before it."""
    return EventOutOfPlace(record.event_type, record.schema_version, record.event_id, reason)


class Projection(Protocol):
    """Builds tables out of the log.

    `version` counts up whenever the same events lead to other rows; `event_types` are the ones it is given.
    """

    @property
    def name(self) -> str:
        """Its name, unique in the service."""
        ...

    @property
    def version(self) -> int:
        """Version of its code."""
        ...

    @property
    def event_types(self) -> frozenset[str]:
        """The events that it handles."""
        ...

    @property
    def tables(self) -> Sequence[Table]:
        """The tables that it alone writes."""
        ...

    async def apply(self, connection: AsyncConnection, batch: Sequence[DecodedEvent]) -> None:
        """Write what these events, in order of position, change; set-based.

        The caller owns the transaction, in which the checkpoint moves too: each event is applied exactly once.
        """
        ...
