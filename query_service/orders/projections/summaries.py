"""`order_summaries`, and summed over them `order_totals` and `sales_by_day`."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple, assert_never, cast
from uuid import UUID

from query_service.orders.tables import order_summaries, order_totals, sales_by_day
from query_service.projection import DecodedEvent, out_of_place
from query_service.row_projection import RowProjection
from query_service.sums import Sums
from shared.orders.events import OrderCancelled, OrderConfirmed, OrderEvent, OrderPlaced, OrderShipped
from shared.orders.values import OrderStatus


class OrderSummary(NamedTuple):
    """One row of `order_summaries`."""

    order_id: UUID
    customer_name: str
    total_amount: Decimal
    status: str
    item_count: int
    placed_at: datetime
    confirmed_at: datetime | None
    shipped_at: datetime | None
    cancelled_at: datetime | None
    version: int


def fold(row: OrderSummary | None, decoded: DecodedEvent) -> OrderSummary:
    """Give the summary after an event."""
    record, event = decoded.record, cast("OrderEvent", decoded.event)
    at, version = record.occurred_at, record.version
    if isinstance(event, OrderPlaced):
        return OrderSummary(
            order_id=record.stream.aggregate_id,
            customer_name=event.customer_name,
            total_amount=event.total_amount,
            status=OrderStatus.PENDING,
            item_count=len(event.items),
            placed_at=at,
            confirmed_at=None,
            shipped_at=None,
            cancelled_at=None,
            version=version,
        )
    if row is None:
        raise out_of_place(record, "it is about an order that was not placed")
    match event:
        case OrderConfirmed():
            return row._replace(status=OrderStatus.CONFIRMED, confirmed_at=at, version=version)
        case OrderShipped():
            return row._replace(status=OrderStatus.SHIPPED, shipped_at=at, version=version)
        case OrderCancelled():
            return row._replace(status=OrderStatus.CANCELLED, cancelled_at=at, version=version)
        case _:
            assert_never(event)


def in_status(row: OrderSummary) -> Iterable[tuple[str, int, Decimal]]:
    """Give what an order adds to `order_totals`."""
    yield row.status, 1, row.total_amount


def on_days(row: OrderSummary) -> Iterable[tuple[date, int, Decimal, int, Decimal]]:
    """Give what an order adds to `sales_by_day`, by days in UTC."""
    yield row.placed_at.astimezone(UTC).date(), 1, row.total_amount, 0, Decimal(0)
    if row.shipped_at is not None:
        yield row.shipped_at.astimezone(UTC).date(), 0, Decimal(0), 1, row.total_amount


ORDER_SUMMARIES = RowProjection(
    name="order_summaries",
    version=1,
    event_types=frozenset(e.event_type for e in (OrderPlaced, OrderConfirmed, OrderShipped, OrderCancelled)),
    table=order_summaries,
    row_type=OrderSummary,
    fold=fold,
    sums=(Sums(order_totals, in_status), Sums(sales_by_day, on_days)),
)
