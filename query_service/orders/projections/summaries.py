"""`order_summaries`, and out of their changes `order_totals`."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import assert_never, cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.orders.tables import order_summaries, order_totals
from query_service.projection import DecodedEvent, out_of_place
from query_service.row_projection import Change, RowProjection, insert_rows, transposed
from shared.orders.events import OrderCancelled, OrderConfirmed, OrderEvent, OrderPlaced, OrderShipped
from shared.orders.values import OrderStatus


@dataclass(frozen=True, slots=True)
class OrderSummary:
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
            return replace(row, status=OrderStatus.CONFIRMED, confirmed_at=at, version=version)
        case OrderShipped():
            return replace(row, status=OrderStatus.SHIPPED, shipped_at=at, version=version)
        case OrderCancelled():
            return replace(row, status=OrderStatus.CANCELLED, cancelled_at=at, version=version)
        case _:
            assert_never(event)


async def update_totals(connection: AsyncConnection, changes: Sequence[Change[OrderSummary]]) -> None:
    """Move changed orders from the total of their old status to that of the new one."""
    counts: dict[str, int] = defaultdict(int)
    amounts: dict[str, Decimal] = defaultdict(Decimal)
    for change in changes:
        for row, sign in ((change.before, -1), (change.after, 1)):
            if row is not None:
                counts[row.status] += sign
                amounts[row.status] += sign * row.total_amount
    totals = [{"status": status, "count": counts[status], "total_amount": amounts[status]} for status in sorted(counts)]
    statement = insert_rows(order_totals)
    added = {name: order_totals.c[name] + statement.excluded[name] for name in ("count", "total_amount")}
    await connection.execute(
        statement.on_conflict_do_update(index_elements=[order_totals.c.status], set_=added),
        transposed(order_totals, totals),
    )


ORDER_SUMMARIES = RowProjection(
    name="order_summaries",
    version=1,
    event_types=frozenset(e.event_type for e in (OrderPlaced, OrderConfirmed, OrderShipped, OrderCancelled)),
    table=order_summaries,
    row_type=OrderSummary,
    fold=fold,
    derived_tables=(order_totals,),
    derive=update_totals,
)
