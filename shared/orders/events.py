"""What can happen to an order. Facts are read as they were written: no rule is checked here."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, JsonValue

from shared.event_log.events import DomainEvent
from shared.event_log.registry import EventRegistry
from shared.orders.values import Money

AGGREGATE_TYPE = "order"


def _example(**data: JsonValue) -> ConfigDict:
    """Show the event with these data in the event catalogue."""
    return ConfigDict(json_schema_extra={"examples": [data]})


class Address(BaseModel):
    """Where an order goes; `country` is an ISO 3166-1 alpha-2 code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipient: str
    line1: str
    line2: str | None = None
    city: str
    postal_code: str
    country: str


class OrderItem(BaseModel):
    """One line of an order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product_name: str
    quantity: int
    unit_price: Money


class OrderPlaced(DomainEvent):
    """A customer placed an order. Version 2 added `shipping_address`."""

    model_config = _example(
        customer_name="Aiko Tanaka",
        items=[{"product_name": "Sencha", "quantity": 2, "unit_price": "12.50"}],
        total_amount="25.00",
        shipping_address={
            "recipient": "Aiko Tanaka",
            "line1": "1-2-3 Ginza",
            "line2": None,
            "city": "Tokyo",
            "postal_code": "104-0061",
            "country": "JP",
        },
    )
    event_type: ClassVar = "OrderPlaced"
    schema_version: ClassVar = 2

    customer_name: str
    items: tuple[OrderItem, ...]
    total_amount: Money
    shipping_address: Address | None


class OrderConfirmed(DomainEvent):
    """The order was accepted."""

    model_config = _example()
    event_type: ClassVar = "OrderConfirmed"


class OrderShipped(DomainEvent):
    """The order left."""

    model_config = _example(carrier="Yamato", tracking_number="1234-5678")
    event_type: ClassVar = "OrderShipped"

    carrier: str | None
    tracking_number: str | None


class OrderCancelled(DomainEvent):
    """The order was given up."""

    model_config = _example(reason="The customer changed their mind.")
    event_type: ClassVar = "OrderCancelled"

    reason: str


OrderEvent = OrderPlaced | OrderConfirmed | OrderShipped | OrderCancelled


def _order_placed_2(data: dict[str, object]) -> dict[str, object]:
    return {**data, "shipping_address": None}


EVENTS = EventRegistry.of(
    (OrderPlaced, OrderConfirmed, OrderShipped, OrderCancelled),
    upcasters={(OrderPlaced.event_type, 1): _order_placed_2},
)
