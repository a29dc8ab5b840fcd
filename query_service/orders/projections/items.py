"""`order_items`: the lines of orders."""

from typing import Any, cast

from query_service.lines_projection import LinesProjection
from query_service.orders.tables import order_items
from query_service.projection import DecodedEvent
from shared.orders.events import OrderPlaced


def lines(decoded: DecodedEvent) -> list[dict[str, Any]]:
    """Give the rows of a placed order's lines."""
    event = cast("OrderPlaced", decoded.event)
    return [
        {
            "order_id": decoded.record.stream.aggregate_id,
            "line_number": number,
            "product_name": item.product_name,
            "quantity": item.quantity,
            "unit_price": item.unit_price,
            "subtotal": item.quantity * item.unit_price,
        }
        for number, item in enumerate(event.items, 1)
    ]


ORDER_ITEMS = LinesProjection(
    name="order_items",
    version=1,
    event_types=frozenset({OrderPlaced.event_type}),
    table=order_items,
    lines=lines,
)
