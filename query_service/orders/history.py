"""Orders as they were: read from their events, folded by the projections' own code, in memory."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from query_service.orders.answers import Details
from query_service.orders.projections import ORDER_DETAILS, ORDER_SUMMARIES
from query_service.orders.projections.items import lines
from query_service.projection import DecodedEvent
from query_service.reading import ReadModel
from shared.event_log.events import Position, RecordedEvent, StreamId
from shared.event_log.reader import EventLog
from shared.event_log.registry import EventRegistry
from shared.orders.errors import NoSuchVersion, NotYetPlaced, OrderNotFound
from shared.orders.events import AGGREGATE_TYPE, OrderPlaced


class OrderHistory:
    """Reads the streams of orders. Every method gives a position that its answer reflects at least, first.

    All raise what `ReadModel.head` raises, before anything else is said, `OrderNotFound` and `EventSchemaError`.
    """

    def __init__(self, log: EventLog, events: EventRegistry, read: ReadModel) -> None:
        self._log = log
        self._events = events
        self._read = read

    async def events(self, order_id: UUID) -> tuple[Position, Sequence[RecordedEvent]]:
        """Give an order's events, oldest first."""
        position = await self._read.head(self._log)
        events = await self._log.read_stream(StreamId(AGGREGATE_TYPE, order_id))
        if not events:
            raise OrderNotFound(position)
        return position, events

    async def at_version(self, order_id: UUID, version: int) -> tuple[Position, Details]:
        """Give the order as it was at a version, or raise `NoSuchVersion`."""
        position, events = await self.events(order_id)
        if version > len(events):
            raise NoSuchVersion(version, len(events))
        return position, self._fold(events[:version])

    async def as_of(self, order_id: UUID, at: datetime) -> tuple[Position, Details]:
        """Give the order as the last event that had occurred by then left it, or raise `NotYetPlaced`."""
        position, events = await self.events(order_id)
        count = next((event.version for event in reversed(events) if event.occurred_at <= at), 0)
        if count == 0:
            raise NotYetPlaced
        return position, self._fold(events[:count])

    async def until(self, order_id: UUID, position: Position) -> Details:
        """Give the order as its events up to a position left it."""
        _, events = await self.events(order_id)
        until = [event for event in events if event.position <= position]
        if not until:
            raise OrderNotFound(position)
        return self._fold(until)

    def _fold(self, events: Sequence[RecordedEvent]) -> Details:
        return fold_order([DecodedEvent(event, self._events.decode(event)) for event in events])


def fold_order(events: Sequence[DecodedEvent]) -> Details:
    """Give the order that its events, from the first on, lead to."""
    summary, details = ORDER_SUMMARIES.fold_all(events), ORDER_DETAILS.fold_all(events)
    items = [line._asdict() for event in events if isinstance(event.event, OrderPlaced) for line in lines(event)]
    return Details.model_validate({**summary._asdict(), **details._asdict(), "items": items})
