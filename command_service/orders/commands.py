"""What can be asked of an order. A command that exists is valid in itself; `decide` holds it against the order."""

from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from command_service.orders.values import CountryCode, LongText, Price, Quantity, ShortText
from shared.orders.examples import ADDRESS, ORDER_ID
from shared.orders.values import MAX_AMOUNT


class Command(BaseModel):
    """Base class of commands and their parts: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ShippingAddress(Command):
    """Where the order goes."""

    recipient: ShortText = Field(description="Who receives it", examples=[ADDRESS["recipient"]])
    line1: ShortText = Field(description="Street and number", examples=[ADDRESS["line1"]])
    line2: ShortText | None = Field(default=None, description="Floor, flat, company", examples=["Flat 5"])
    city: ShortText = Field(description="City", examples=[ADDRESS["city"]])
    postal_code: ShortText = Field(description="Postal code", examples=[ADDRESS["postal_code"]])
    country: CountryCode = Field(description="ISO 3166-1 alpha-2 code", examples=[ADDRESS["country"]])


class Item(Command):
    """One line: a product, how many, and the price of one."""

    product_name: ShortText = Field(description="What is ordered", examples=["Sencha"])
    quantity: Quantity = Field(description="How many", examples=[2])
    unit_price: Price = Field(
        description="The price of one, exact to the cent: a string or a number, at least 0.01", examples=["12.50"]
    )

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

    order_id: UUID | None = Field(default=None, description="Yours to choose; made if absent", examples=[ORDER_ID])
    customer_name: ShortText = Field(description="Who orders", examples=["Aiko Tanaka"])
    items: tuple[Item, ...] = Field(
        min_length=1, max_length=500, description="The lines, together 99,999,999.99 at most"
    )
    shipping_address: ShippingAddress | None = Field(default=None, description="Where it goes, if that is known")

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

    carrier: ShortText | None = Field(default=None, description="Who carries it", examples=["Yamato"])
    tracking_number: ShortText | None = Field(default=None, description="Theirs", examples=["1234-5678"])


class CancelOrder(Command):
    """Give up an order that has not been shipped."""

    reason: LongText = Field(description="Why, to read", examples=["The customer changed their mind."])


OrderCommand = PlaceOrder | ConfirmOrder | ShipOrder | CancelOrder
