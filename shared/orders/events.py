"""What can happen to an order. Facts are read as they were written: no rule is checked here."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared.event_log.events import DomainEvent
from shared.event_log.registry import EventRegistry
from shared.orders.examples import ADDRESS, CUSTOMER, PLACED, REASON, SHIPPED, TOTAL
from shared.orders.values import Money

AGGREGATE_TYPE = "order"


def _example(**data: JsonValue) -> ConfigDict:
    """Show the event with these data in the event catalogue."""
    return ConfigDict(json_schema_extra={"examples": [data]})


class Address(BaseModel):
    """Where an order goes; `country` is an ISO 3166-1 alpha-2 code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipient: str = Field(description="Who receives it", examples=[ADDRESS["recipient"]])
    line1: str = Field(description="Street and number", examples=[ADDRESS["line1"]])
    line2: str | None = Field(default=None, description="Floor, flat, company", examples=["Flat 5"])
    city: str = Field(description="City", examples=[ADDRESS["city"]])
    postal_code: str = Field(description="Postal code", examples=[ADDRESS["postal_code"]])
    country: str = Field(description="ISO 3166-1 alpha-2 code", examples=[ADDRESS["country"]])


class OrderItem(BaseModel):
    """One line of an order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product_name: str = Field(description="What was ordered", examples=["Sencha"])
    quantity: int = Field(description="How many", examples=[2])
    unit_price: Money = Field(description="The price of one", examples=["12.50"])


class OrderPlaced(DomainEvent):
    """A customer placed an order. Version 2 added `shipping_address`."""

    model_config = _example(**PLACED)
    event_type: ClassVar = "OrderPlaced"
    schema_version: ClassVar = 2

    customer_name: str = Field(description="Who ordered", examples=[CUSTOMER])
    items: tuple[OrderItem, ...] = Field(description="The lines")
    total_amount: Money = Field(description="The sum of quantity × unit price", examples=[TOTAL])
    shipping_address: Address | None = Field(description="Where it goes, if that was known")


class OrderConfirmed(DomainEvent):
    """The order was accepted."""

    model_config = _example()
    event_type: ClassVar = "OrderConfirmed"


class OrderShipped(DomainEvent):
    """The order left."""

    model_config = _example(**SHIPPED)
    event_type: ClassVar = "OrderShipped"

    carrier: str | None = Field(description="Who carries it", examples=["Yamato"])
    tracking_number: str | None = Field(description="Theirs", examples=["1234-5678"])


class OrderCancelled(DomainEvent):
    """The order was given up."""

    model_config = _example(reason=REASON)
    event_type: ClassVar = "OrderCancelled"

    reason: str = Field(description="Why, to read", examples=[REASON])


OrderEvent = OrderPlaced | OrderConfirmed | OrderShipped | OrderCancelled


def _order_placed_2(data: dict[str, object]) -> dict[str, object]:
    return {**data, "shipping_address": None}


EVENTS = EventRegistry.of(
    (OrderPlaced, OrderConfirmed, OrderShipped, OrderCancelled),
    upcasters={(OrderPlaced.event_type, 1): _order_placed_2},
)
