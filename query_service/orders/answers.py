"""The answers about orders."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.orders.events import Address
from shared.orders.values import Money, OrderStatus


class Summary(BaseModel):
    """An order in a list; `item_count` is the number of its lines."""

    model_config = ConfigDict(from_attributes=True)

    order_id: UUID
    customer_name: str
    total_amount: Money
    status: OrderStatus
    item_count: int
    placed_at: datetime
    confirmed_at: datetime | None
    shipped_at: datetime | None
    cancelled_at: datetime | None
    version: int


class Line(BaseModel):
    """One line of an order."""

    product_name: str
    quantity: int
    unit_price: Money
    subtotal: Money


class Details(Summary):
    """An order in full."""

    items: list[Line]
    shipping_address: Address | None
    carrier: str | None
    tracking_number: str | None
    cancellation_reason: str | None


class Page(BaseModel):
    """Some orders; `next_cursor` leads to the next ones."""

    items: list[Summary]
    next_cursor: str | None


class StatusStatistics(BaseModel):
    """The orders that are in one status now."""

    status: OrderStatus
    count: int
    total_revenue: Money
    average_order_value: Money


class Day(BaseModel):
    """A day in UTC: the orders placed on it, and those shipped on it."""

    model_config = ConfigDict(from_attributes=True)

    day: date
    placed_count: int
    placed_revenue: Money
    shipped_count: int
    shipped_revenue: Money


class DailyStatistics(BaseModel):
    """Every day from the first to the last that was asked for."""

    days: list[Day]


class StatusAnalytics(BaseModel):
    """The orders by status, as they were at `refreshed_at`."""

    refreshed_at: datetime
    by_status: list[StatusStatistics]


class Statistics(BaseModel):
    """All orders; `total_revenue` counts the shipped ones."""

    total_count: int
    total_revenue: Money
    by_status: list[StatusStatistics]
