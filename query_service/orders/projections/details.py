"""`order_details`: what an order's summary does not tell."""

from typing import Any, NamedTuple, assert_never, cast
from uuid import UUID

from query_service.orders.tables import order_details
from query_service.projection import DecodedEvent
from query_service.row_projection import RowProjection
from shared.orders.events import OrderCancelled, OrderPlaced, OrderShipped


class OrderDetails(NamedTuple):
    """One row of `order_details`; the address is the JSON object of `shared.orders.events.Address`."""

    order_id: UUID
    shipping_address: dict[str, Any] | None = None
    carrier: str | None = None
    tracking_number: str | None = None
    cancellation_reason: str | None = None


def fold(row: OrderDetails | None, decoded: DecodedEvent) -> OrderDetails:
    """Give the details after an event."""
    order_id = decoded.record.stream.aggregate_id
    event = cast("OrderPlaced | OrderShipped | OrderCancelled", decoded.event)
    match event:
        case OrderPlaced(shipping_address=address):
            return OrderDetails(order_id, address.model_dump() if address else None)
        case OrderShipped(carrier=carrier, tracking_number=tracking_number):
            return (row or OrderDetails(order_id))._replace(carrier=carrier, tracking_number=tracking_number)
        case OrderCancelled(reason=reason):
            return (row or OrderDetails(order_id))._replace(cancellation_reason=reason)
        case _:
            assert_never(event)


ORDER_DETAILS = RowProjection(
    name="order_details",
    version=1,
    event_types=frozenset(e.event_type for e in (OrderPlaced, OrderShipped, OrderCancelled)),
    table=order_details,
    row_type=OrderDetails,
    fold=fold,
)
