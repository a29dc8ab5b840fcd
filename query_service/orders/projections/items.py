"""`order_items`: the lines of orders."""

from decimal import Decimal
from typing import NamedTuple, cast
from uuid import UUID

from query_service.lines_projection import LinesProjection
from query_service.orders.tables import order_items
from query_service.projection import DecodedEvent
from shared.orders.events import OrderPlaced


class OrderLine(NamedTuple):
    """One row of `order_items`."""

    order_id: UUID
    line_number: int
    product_name: str
    quantity: int
    unit_price: Decimal
    subtotal: Decimal


def lines(decoded: DecodedEvent) -> list[OrderLine]:
    """Give the rows of a placed order's lines."""
    order_id, event = decoded.record.stream.aggregate_id, cast("OrderPlaced", decoded.event)
    return [
        OrderLine(order_id, number, item.product_name, item.quantity, item.unit_price, item.quantity * item.unit_price)
        for number, item in enumerate(event.items, 1)
    ]


ORDER_ITEMS = LinesProjection(
    name="order_items",
    version=1,
    event_types=frozenset({OrderPlaced.event_type}),
    table=order_items,
    lines=lines,
)
