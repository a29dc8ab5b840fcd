"""Stored events become objects of the current classes, or a typed error says why not."""

import json
from decimal import Decimal
from uuid import UUID

import pytest

from shared.errors import EventSchemaError, InvalidEventData, UnknownEventType, UnknownSchemaVersion
from shared.event_log.events import DomainEvent, EventId, Position, RecordedEvent, StreamId, Version
from shared.event_log.registry import EventRegistry
from shared.orders.events import EVENTS, OrderCancelled, OrderConfirmed, OrderItem, OrderPlaced, OrderShipped
from tests.support.events import WHEN

ITEM = {"product_name": "Tea", "quantity": 2, "unit_price": "1.50"}
PLACED_1 = {"customer_name": "Aiko", "items": [ITEM], "total_amount": "3.00"}


def recorded(event_type: str, schema_version: int, data: object) -> RecordedEvent:
    return RecordedEvent(
        position=Position(1),
        stream=StreamId("order", UUID(int=1)),
        version=Version(1),
        event_type=event_type,
        schema_version=schema_version,
        event_id=EventId(UUID(int=2)),
        data=json.dumps(data),
        metadata="{}",
        occurred_at=WHEN,
        recorded_at=WHEN,
    )


def test_version_1_of_order_placed_reads_as_version_2_without_an_address() -> None:
    assert EVENTS.decode(recorded("OrderPlaced", 1, PLACED_1)) == OrderPlaced(
        customer_name="Aiko",
        items=(OrderItem(product_name="Tea", quantity=2, unit_price=Decimal("1.50")),),
        total_amount=Decimal("3.00"),
        shipping_address=None,
    )


@pytest.mark.parametrize(
    "event",
    [
        EVENTS.decode(recorded("OrderPlaced", 1, PLACED_1)),
        OrderConfirmed(),
        OrderShipped(carrier=None, tracking_number="1"),
        OrderCancelled(reason="late"),
    ],
)
def test_an_event_comes_back_from_its_json(event: DomainEvent) -> None:
    data = json.loads(event.model_dump_json())
    assert EVENTS.decode(recorded(event.event_type, event.schema_version, data)) == event


def test_money_is_a_string_with_two_decimals_in_json() -> None:
    item = OrderItem(product_name="Tea", quantity=1, unit_price=Decimal(5))
    assert json.loads(item.model_dump_json())["unit_price"] == "5.00"


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (recorded("OrderLost", 1, {}), UnknownEventType),
        (recorded("OrderPlaced", 3, PLACED_1), UnknownSchemaVersion),
        (recorded("OrderCancelled", 1, {}), InvalidEventData),
        (recorded("OrderConfirmed", 1, {"extra": 1}), InvalidEventData),
        (recorded("OrderPlaced", 1, {"customer_name": "Aiko"}), InvalidEventData),
    ],
)
def test_an_event_that_cannot_be_read_is_a_typed_error(event: RecordedEvent, error: type[EventSchemaError]) -> None:
    with pytest.raises(error) as raised:
        EVENTS.decode(event)
    assert (raised.value.event_type, raised.value.event_id) == (event.event_type, event.event_id)


def test_a_missing_upcaster_is_a_typed_error() -> None:
    with pytest.raises(UnknownSchemaVersion, match="no upcaster from version 1"):
        EventRegistry.of((OrderPlaced,)).decode(recorded("OrderPlaced", 1, PLACED_1))


def test_one_event_type_cannot_be_registered_twice() -> None:
    with pytest.raises(ValueError, match="registered twice: OrderCancelled"):
        EventRegistry.union([EVENTS, EventRegistry.of((OrderCancelled,))])
