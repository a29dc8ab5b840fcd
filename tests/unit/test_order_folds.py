"""The order projections as pure folds."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from query_service.orders.projections import details, items, summaries
from shared.orders.events import OrderCancelled, OrderConfirmed, OrderEvent, OrderShipped
from tests.support.orders import placed
from tests.support.specs import AGGREGATE_ID, decoded, folded

SHIPPED = OrderShipped(carrier="Yamato", tracking_number="7")
CANCELLED = OrderCancelled(reason="late")


@pytest.mark.parametrize(
    ("events", "status", "stamps"),
    [
        ([], "pending", (None, None, None)),
        ([OrderConfirmed()], "confirmed", (2, None, None)),
        ([OrderConfirmed(), SHIPPED], "shipped", (2, 3, None)),
        ([CANCELLED], "cancelled", (None, None, 2)),
    ],
)
def test_a_summary_follows_its_order(events: list[OrderEvent], status: str, stamps: tuple[int | None, ...]) -> None:
    row = folded(summaries.fold, [placed("Aiko", "2.50", 3), *events])
    assert (row.order_id, row.customer_name, row.total_amount, row.item_count) == (
        AGGREGATE_ID,
        "Aiko",
        Decimal("7.50"),
        1,
    )
    assert (row.status, row.version) == (status, len(events) + 1)
    times = tuple(None if second is None else datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in stamps)
    assert (row.confirmed_at, row.shipped_at, row.cancelled_at) == times


def test_a_summary_of_an_order_that_was_not_placed_is_an_error() -> None:
    with pytest.raises(LookupError, match="OrderConfirmed at position 1"):
        folded(summaries.fold, [OrderConfirmed()])


def test_details_gather_what_each_event_tells() -> None:
    row = folded(details.fold, [placed(quantity=1), SHIPPED])
    assert row.shipping_address is not None
    assert (row.shipping_address["city"], row.carrier, row.tracking_number) == ("Tokyo", "Yamato", "7")
    row = folded(details.fold, [placed(quantity=2), CANCELLED])
    assert (row.shipping_address, row.carrier, row.cancellation_reason) == (None, None, "late")


def test_lines_are_numbered_and_have_their_subtotal() -> None:
    (event,) = decoded([placed(price="2.50", quantity=3)])
    assert items.lines(event) == [
        {
            "order_id": AGGREGATE_ID,
            "line_number": 1,
            "product_name": "Tea",
            "quantity": 3,
            "unit_price": Decimal("2.50"),
            "subtotal": Decimal("7.50"),
        }
    ]
