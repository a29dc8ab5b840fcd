"""`order_items`: the lines of orders."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.orders.tables import order_items
from query_service.projection import DecodedEvent
from query_service.row_projection import upsert
from shared.orders.events import OrderPlaced


class OrderItems:
    """One row per line; an order's lines never change."""

    name = "order_items"
    version = 1
    event_types = frozenset({OrderPlaced.event_type})
    tables: Sequence[Table] = (order_items,)

    async def apply(self, connection: AsyncConnection, batch: Sequence[DecodedEvent]) -> None:
        """See `Projection.apply`."""
        if rows := [row for decoded in batch for row in lines(decoded)]:
            await upsert(connection, order_items, rows)


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


ORDER_ITEMS = OrderItems()
