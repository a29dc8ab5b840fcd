"""The answers about orders."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from shared.orders.events import Address
from shared.orders.examples import CONFIRMED_AT, CURSOR, CUSTOMER, ORDER_ID, PLACED_AT, SHIPPED_AT, TOTAL
from shared.orders.values import Money, OrderStatus

Amount = Annotated[Money, WithJsonSchema({"type": "string", "pattern": r"^[0-9]+\.[0-9]{2}$"}, mode="serialization")]


class Summary(BaseModel):
    """An order in a list; `item_count` is the number of its lines."""

    model_config = ConfigDict(from_attributes=True)

    order_id: UUID = Field(description="The order's id", examples=[ORDER_ID])
    customer_name: str = Field(description="Who ordered", examples=[CUSTOMER])
    total_amount: Amount = Field(description="The sum of the lines' subtotals", examples=[TOTAL])
    status: OrderStatus = Field(description="Where it stands", examples=["shipped"])
    item_count: int = Field(description="How many lines it has", examples=[1])
    placed_at: datetime = Field(description="When it was placed", examples=[PLACED_AT])
    confirmed_at: datetime | None = Field(description="When it was confirmed, if it was", examples=[CONFIRMED_AT])
    shipped_at: datetime | None = Field(description="When it was shipped, if it was", examples=[SHIPPED_AT])
    cancelled_at: datetime | None = Field(description="When it was cancelled, if it was", examples=[None])
    version: int = Field(description="Its version: how many events it has", examples=[3])


class Line(BaseModel):
    """One line of an order."""

    product_name: str = Field(description="What was ordered", examples=["Sencha"])
    quantity: int = Field(description="How many", examples=[2])
    unit_price: Amount = Field(description="The price of one", examples=["12.50"])
    subtotal: Amount = Field(description="Quantity × unit price", examples=[TOTAL])


class Details(Summary):
    """An order in full."""

    items: list[Line] = Field(description="Its lines, in the order in which they were given")
    shipping_address: Address | None = Field(description="Where it goes, if that was known")
    carrier: str | None = Field(description="Who carries it, once it is shipped", examples=["Yamato"])
    tracking_number: str | None = Field(description="The carrier's number", examples=["1234-5678"])
    cancellation_reason: str | None = Field(description="Why it was cancelled", examples=[None])


class Page(BaseModel):
    """Some orders; `next_cursor` leads to the next ones."""

    items: list[Summary] = Field(description="The orders, sorted as was asked")
    next_cursor: str | None = Field(description="For `cursor`; null on the last page", examples=[CURSOR])


class StatusStatistics(BaseModel):
    """The orders that are in one status now."""

    status: OrderStatus = Field(description="The status", examples=["shipped"])
    count: int = Field(description="How many orders are in it", examples=[2])
    total_revenue: Amount = Field(description="The sum of their totals", examples=["73.00"])
    average_order_value: Amount = Field(description="Of their totals, rounded half up", examples=["36.50"])


class Day(BaseModel):
    """A day in UTC: the orders placed on it, and those shipped on it."""

    model_config = ConfigDict(from_attributes=True)

    day: date = Field(description="The day, in UTC", examples=["2026-01-02"])
    placed_count: int = Field(description="How many orders were placed", examples=[3])
    placed_revenue: Amount = Field(description="The sum of their totals", examples=["98.00"])
    shipped_count: int = Field(description="How many orders were shipped", examples=[2])
    shipped_revenue: Amount = Field(description="The sum of their totals", examples=["73.00"])


class DailyStatistics(BaseModel):
    """Every day from the first to the last that was asked for."""

    days: list[Day] = Field(description="The days, earliest first; those without sales too")


class StatusAnalytics(BaseModel):
    """The orders by status, as they were at `refreshed_at`."""

    refreshed_at: datetime = Field(description="When they were counted", examples=[SHIPPED_AT])
    by_status: list[StatusStatistics] = Field(description="Every status, in the order of an order's life")


class Statistics(BaseModel):
    """All orders; `total_revenue` counts the shipped ones."""

    total_count: int = Field(description="How many orders there are", examples=[3])
    total_revenue: Amount = Field(description="The sum of the shipped orders' totals", examples=["73.00"])
    by_status: list[StatusStatistics] = Field(description="Every status, in the order of an order's life")
