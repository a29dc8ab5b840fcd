"""The order projections as pure folds."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from query_service.orders.projections import ORDER_DETAILS, ORDER_SUMMARIES, details, items, summaries
from query_service.orders.tables import order_items
from query_service.row_projection import RowProjection
from shared.errors import EventOutOfPlace
from shared.orders.events import EVENTS, OrderCancelled, OrderConfirmed, OrderEvent, OrderItem, OrderShipped
from tests.support.orders import placed
from tests.support.specs import AGGREGATE_ID, decoded, folded

SHIPPED = OrderShipped(carrier="Yamato", tracking_number="7")
CANCELLED = OrderCancelled(reason="late")
TWO_LINES = placed(price="2.50", quantity=3).model_copy(
    update={
        "items": (
            OrderItem(product_name="Tea", quantity=3, unit_price=Decimal("2.50")),
            OrderItem(product_name="Pot", quantity=1, unit_price=Decimal("50.00")),
        ),
        "total_amount": Decimal("57.50"),
    }
)


@pytest.mark.parametrize(
    ("events", "status", "stamps"),
    [
        ([], "pending", (None, None, None)),
        ([OrderConfirmed()], "confirmed", (2, None, None)),
        ([OrderConfirmed(), SHIPPED], "shipped", (2, 3, None)),
        ([CANCELLED], "cancelled", (None, None, 2)),
        ([OrderConfirmed(), CANCELLED], "cancelled", (2, None, 3)),
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


@pytest.mark.parametrize("event", [OrderConfirmed(), SHIPPED, CANCELLED])
def test_a_summary_of_an_order_that_was_not_placed_is_an_error(event: OrderEvent) -> None:
    with pytest.raises(
        EventOutOfPlace, match=f"{event.event_type} version 1 .*: it is about an order that was not placed"
    ):
        folded(summaries.fold, [event])


def test_a_summary_counts_lines_not_pieces() -> None:
    row = folded(summaries.fold, [TWO_LINES])
    assert (row.item_count, row.total_amount) == (2, Decimal("57.50"))


def test_a_fold_leaves_the_row_before_as_it_was() -> None:
    first, second = decoded([placed(), OrderConfirmed()])
    before = summaries.fold(None, first)
    after = summaries.fold(before, second)
    assert (before.status, before.version, after.status, after.version) == ("pending", 1, "confirmed", 2)


@pytest.mark.parametrize("projection", [ORDER_SUMMARIES, ORDER_DETAILS])
def test_a_projection_is_given_the_events_that_its_fold_knows(projection: RowProjection[Any]) -> None:
    known = EVENTS.classes.keys() - ({"OrderConfirmed"} if projection is ORDER_DETAILS else set())
    assert projection.event_types == known


def test_a_row_has_the_columns_of_its_table_in_their_order() -> None:
    assert items.OrderLine._fields == tuple(order_items.c.keys())
    details_alone: Any = ORDER_DETAILS
    with pytest.raises(TypeError, match="no NamedTuple with the columns of"):
        replace(details_alone, row_type=summaries.OrderSummary)


def test_details_gather_what_each_event_tells() -> None:
    row = folded(details.fold, [placed(quantity=1), SHIPPED])
    assert row.shipping_address is not None
    assert (row.shipping_address["city"], row.carrier, row.tracking_number) == ("Tokyo", "Yamato", "7")
    row = folded(details.fold, [placed(quantity=2), CANCELLED])
    assert (row.shipping_address, row.carrier, row.cancellation_reason) == (None, None, "late")


def test_lines_are_numbered_and_have_their_subtotal() -> None:
    (event,) = decoded([TWO_LINES])
    assert [tuple(line) for line in items.lines(event)] == [
        (AGGREGATE_ID, 1, "Tea", 3, Decimal("2.50"), Decimal("7.50")),
        (AGGREGATE_ID, 2, "Pot", 1, Decimal("50.00"), Decimal("50.00")),
    ]
