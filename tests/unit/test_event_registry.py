"""Stored events become objects of the current classes, or a typed error says why not."""

import json
import traceback
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import pytest

from shared.errors import EventSchemaError, InvalidEventData, UnknownEventType, UnknownSchemaVersion
from shared.event_log.events import DomainEvent, EventId, Position, RecordedEvent, StreamId, Version
from shared.event_log.registry import EventRegistry, Upcaster
from shared.orders.events import EVENTS, OrderCancelled, OrderConfirmed, OrderItem, OrderPlaced, OrderShipped
from tests.support.events import WHEN

ITEM = {"product_name": "Tea", "quantity": 2, "unit_price": "1.50"}
ADDRESS: dict[str, Any] = {
    "recipient": "Aiko",
    "line1": "1-2-3",
    "city": "Tokyo",
    "postal_code": "104",
    "country": "JP",
}
PLACED_1: dict[str, Any] = {"customer_name": "Aiko", "items": [ITEM], "total_amount": "3.00"}


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


PLACED_2: dict[str, Any] = {**PLACED_1, "shipping_address": {**ADDRESS, "line2": None}}

EXAMPLES: list[DomainEvent] = [
    EVENTS.decode(recorded("OrderPlaced", 1, PLACED_1)),
    EVENTS.decode(recorded("OrderPlaced", 2, PLACED_2)),
    OrderConfirmed(),
    OrderShipped(carrier=None, tracking_number="1"),
    OrderShipped(carrier="ヤマト", tracking_number=None),
    OrderCancelled(reason='late\u2028"\\'),
]


@pytest.mark.parametrize("event", EXAMPLES)
def test_an_event_comes_back_from_its_json(event: DomainEvent) -> None:
    data = json.loads(event.model_dump_json())
    again = EVENTS.decode(recorded(event.event_type, event.schema_version, data))
    assert (type(again), again) == (type(event), event)


def test_every_event_of_an_order_has_an_example_here() -> None:
    assert {type(event) for event in EXAMPLES} == set(EVENTS.classes.values())


def test_money_is_a_string_with_two_decimals_in_json() -> None:
    item = OrderItem(product_name="Tea", quantity=1, unit_price=Decimal(5))
    assert json.loads(item.model_dump_json())["unit_price"] == "5.00"


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (recorded("OrderLost", 1, {}), UnknownEventType),
        (recorded("orderplaced", 2, PLACED_2), UnknownEventType),
        (recorded("OrderPlaced", 3, PLACED_2), UnknownSchemaVersion),
        (recorded("OrderPlaced", 0, PLACED_1), UnknownSchemaVersion),
        (recorded("OrderPlaced", 2, PLACED_1), InvalidEventData),
        (recorded("OrderPlaced", 1, PLACED_2 | {"extra": 1}), InvalidEventData),
        (recorded("OrderPlaced", 2, []), InvalidEventData),
        (recorded("OrderCancelled", 1, {}), InvalidEventData),
        (recorded("OrderConfirmed", 1, {"extra": 1}), InvalidEventData),
        (recorded("OrderPlaced", 1, {"customer_name": "Aiko"}), InvalidEventData),
    ],
)
def test_an_event_that_cannot_be_read_is_a_typed_error(event: RecordedEvent, error: type[EventSchemaError]) -> None:
    with pytest.raises(error) as raised:
        EVENTS.decode(event)
    assert (raised.value.event_type, raised.value.event_id) == (event.event_type, event.event_id)


def test_an_error_keeps_the_events_data_to_itself() -> None:
    data = {"reason": {"secret": "-".join("s3cr3t")}}
    with pytest.raises(InvalidEventData) as raised:
        EVENTS.decode(recorded("OrderCancelled", 1, data))
    assert "reason" in str(raised.value)
    assert data["reason"]["secret"] not in "".join(traceback.format_exception(raised.value))


def test_old_data_that_is_no_object_is_a_typed_error() -> None:
    with pytest.raises(InvalidEventData):
        EVENTS.decode(recorded("OrderPlaced", 1, []))


@pytest.mark.parametrize("error", [KeyError("x"), TypeError, ValueError, AttributeError, IndexError])
def test_an_upcaster_that_fails_is_a_typed_error_and_the_event_is_shown_as_stored(error: Exception) -> None:
    def fail(_: dict[str, Any]) -> dict[str, Any]:
        raise error

    events = EventRegistry.of((ThingHappened,), upcasters={("ThingHappened", 2): fail})
    old = recorded("ThingHappened", 2, {"steps": []})
    with pytest.raises(InvalidEventData, match="the upcaster from version 2 fails on it"):
        events.decode(old)
    assert events.to_current(old) == old


class ThingHappened(DomainEvent):
    event_type: ClassVar = "ThingHappened"
    schema_version: ClassVar = 3

    steps: list[str]


def step(name: str) -> Upcaster:
    def upcast(data: dict[str, Any]) -> dict[str, Any]:
        return {"steps": [*data["steps"], name]}

    return upcast


@pytest.mark.parametrize(("version", "steps"), [(1, ["1→2", "2→3"]), (2, ["2→3"]), (3, [])])
def test_upcasters_are_chained_from_the_stored_version_on(version: int, steps: list[str]) -> None:
    events = EventRegistry.of(
        (ThingHappened,), upcasters={("ThingHappened", 2): step("2→3"), ("ThingHappened", 1): step("1→2")}
    )
    assert events.decode(recorded("ThingHappened", version, {"steps": []})) == ThingHappened(steps=steps)


@pytest.mark.parametrize("missing", [1, 2])
def test_a_gap_in_the_chain_of_upcasters_is_a_typed_error(missing: int) -> None:
    events = EventRegistry.of((ThingHappened,), upcasters={("ThingHappened", 3 - missing): step("other")})
    with pytest.raises(UnknownSchemaVersion, match=f"no upcaster from version {missing}"):
        events.decode(recorded("ThingHappened", 1, {"steps": []}))


def test_one_event_type_cannot_be_registered_twice() -> None:
    with pytest.raises(ValueError, match="registered twice: OrderCancelled"):
        EventRegistry.union([EVENTS, EventRegistry.of((OrderCancelled,))])


def test_a_union_reads_the_events_of_each_of_its_registries() -> None:
    both = EventRegistry.union([EVENTS, EventRegistry.of((ThingHappened,))])
    assert both.decode(recorded("ThingHappened", 3, {"steps": []})) == ThingHappened(steps=[])
    assert both.decode(recorded("OrderPlaced", 1, PLACED_1)) == EVENTS.decode(recorded("OrderPlaced", 1, PLACED_1))
