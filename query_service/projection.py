"""What a projection is. The engines (`query_service.projector`, `query_service.rebuild`) know no more of one than this."""

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


class Loader(Protocol):
    """Writes the rows of whole aggregates into fresh tables by COPY, and sums over them."""

    @property
    def copied(self) -> Sequence[Table]:
        """The tables that are written by COPY alone, so that their indexes may come afterwards."""
        ...

    async def write(self, connection: AsyncConnection, aggregates: Sequence[Sequence[DecodedEvent]]) -> None:
        """Write the rows of some aggregates, of each all events that the projection handles, oldest first.

        If it raises, the caller takes back what was written, and nothing of it counts for the sums.
        """
        ...

    async def write_sums(self, connection: AsyncConnection) -> None:
        """Add what was summed over all rows, in the order of keys; others that do so wait from here to the commit.

        What fails here is not parked: the rebuild fails.
        """
        ...


class Projection(Protocol):
    """Builds tables out of the log.

    `version` counts up whenever the same events lead to other rows; `event_types` are the ones it is given. The events
    of one aggregate come in order; an aggregate that is parked misses while others go on.
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

        What `query_service.set_based` writes, but for COPY, goes out at the end of the batch, with what others write: read before.
        The caller owns the transaction, in which the checkpoint moves too: each event is applied exactly once. The
        tables stand for those of the connection's generation: `schema_translate_map` tells.
        """
        ...

    def loader(self) -> Loader | None:
        """Give what builds its tables aggregate by aggregate; None if that needs the whole log in order."""
        ...
