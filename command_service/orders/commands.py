"""What can be asked of an order. A command that exists is valid in itself; `decide` holds it against the order."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from command_service.orders.values import CountryCode, LongText, Price, ShortText
from shared.orders.values import MAX_AMOUNT


class Command(BaseModel):
    """Base class of commands and their parts: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ShippingAddress(Command):
    """Where the order goes."""

    recipient: ShortText
    line1: ShortText
    line2: ShortText | None = None
    city: ShortText
    postal_code: ShortText
    country: CountryCode


class Item(Command):
    """One line: a product, how many, and the price of one."""

    product_name: ShortText
    quantity: Annotated[StrictInt, Field(ge=1, le=1_000_000)]
    unit_price: Price

    @model_validator(mode="after")
    def _bounded(self) -> "Item":
        if self.subtotal > MAX_AMOUNT:
            raise ValueError(f"quantity × unit_price must be at most {MAX_AMOUNT}")
        return self

    @property
    def subtotal(self) -> Decimal:
        """Quantity × unit price."""
        return self.quantity * self.unit_price


class PlaceOrder(Command):
    """Place an order; `order_id` is made by the service if it is absent."""

    order_id: UUID | None = None
    customer_name: ShortText
    items: Annotated[tuple[Item, ...], Field(min_length=1, max_length=500)]
    shipping_address: ShippingAddress | None = None

    @model_validator(mode="after")
    def _bounded(self) -> "PlaceOrder":
        if self.total_amount > MAX_AMOUNT:
            raise ValueError(f"the sum of quantity × unit_price must be at most {MAX_AMOUNT}")
        return self

    @property
    def total_amount(self) -> Decimal:
        """Sum of the items' subtotals."""
        return sum((item.subtotal for item in self.items), Decimal("0.00"))


class ConfirmOrder(Command):
    """Accept a pending order."""


class ShipOrder(Command):
    """Send a confirmed order out."""

    carrier: ShortText | None = None
    tracking_number: ShortText | None = None


class CancelOrder(Command):
    """Give up an order that has not been shipped."""

    reason: LongText


OrderCommand = PlaceOrder | ConfirmOrder | ShipOrder | CancelOrder
