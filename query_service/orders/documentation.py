"""What the API document tells of the order queries."""

from typing import Any

from query_service.cursor import InvalidCursor
from query_service.documentation import read
from query_service.event_catalogue import example_event
from shared.errors import UnknownEventType
from shared.event_log.events import Position
from shared.orders.errors import NoSuchVersion, NotYetPlaced, OrderNotFound
from shared.orders.events import AGGREGATE_TYPE, OrderConfirmed, OrderPlaced, OrderShipped
from shared.orders.examples import (
    ADDRESS,
    CONFIRMED_AT,
    CURSOR,
    CUSTOMER,
    ITEM,
    ORDER_ID,
    PLACED,
    PLACED_AT,
    SHIPPED,
    SHIPPED_AT,
    TOTAL,
)
from shared.orders.values import OrderStatus
from shared.web.documentation import Chapter, Link, invalid

_SUMMARY: dict[str, Any] = {
    "order_id": ORDER_ID,
    "customer_name": CUSTOMER,
    "total_amount": TOTAL,
    "status": "shipped",
    "item_count": 1,
    "placed_at": PLACED_AT,
    "confirmed_at": CONFIRMED_AT,
    "shipped_at": SHIPPED_AT,
    "cancelled_at": None,
    "version": 3,
}
_DETAILS = {
    **_SUMMARY,
    "items": [{**ITEM, "subtotal": TOTAL}],
    "shipping_address": ADDRESS,
    **SHIPPED,
    "cancellation_reason": None,
}
_WHEN_PLACED = {
    **_DETAILS,
    "status": "pending",
    "confirmed_at": None,
    "shipped_at": None,
    "carrier": None,
    "tracking_number": None,
    "version": 1,
}
_HISTORY = [
    example_event(AGGREGATE_TYPE, OrderPlaced, PLACED),
    example_event(AGGREGATE_TYPE, OrderConfirmed, {}, 2),
    example_event(AGGREGATE_TYPE, OrderShipped, SHIPPED, 3),
]
_NOTHING = {"count": 0, "total_revenue": "0.00", "average_order_value": "0.00"}
_BY_STATUS = [
    {"status": OrderStatus.PENDING.value, "count": 1, "total_revenue": TOTAL, "average_order_value": TOTAL},
    {"status": OrderStatus.CONFIRMED.value, **_NOTHING},
    {"status": OrderStatus.SHIPPED.value, "count": 2, "total_revenue": "73.00", "average_order_value": "36.50"},
    {"status": OrderStatus.CANCELLED.value, **_NOTHING},
]
_DAY = {
    "day": "2026-01-02",
    "placed_count": 3,
    "placed_revenue": "98.00",
    "shipped_count": 2,
    "shipped_revenue": "73.00",
}
_NEWER = UnknownEventType("OrderGifted", 1, None, "this release knows no such event: run one that does")
_UNKNOWN = OrderNotFound(Position(3))

CHAPTER = Chapter(
    "orders",
    "Orders in lists and in full, as they are and as they were, and what they come to.",
    {
        "listOrders": read(
            "A page of orders",
            {
                "A page with another one after it": {"items": [_SUMMARY], "next_cursor": CURSOR},
                "No order passes": {"items": [], "next_cursor": None},
            },
            [invalid((("query", "limit"), "Input should be less than or equal to 200")), InvalidCursor()],
            links=[Link(name, "order_id", "/items/0/order_id") for name in ("getOrder", "getOrderHistory")],
        ),
        "getOrder": read(
            "The order",
            {"As it is": _DETAILS, "As it was at version 1": _WHEN_PLACED},
            [
                invalid((("query",), "give version or as_of, not both")),
                _UNKNOWN,
                NoSuchVersion(5, 3),
                NotYetPlaced(),
                _NEWER,
            ],
            links=[Link("getOrderHistory", "order_id", "/order_id")],
        ),
        "getOrderHistory": read(
            "The order's events, oldest first",
            {"Placed, confirmed, shipped": {"items": _HISTORY}},
            [invalid((("query", "schema"), "Input should be 'current' or 'stored'")), _UNKNOWN],
            conditional=False,
        ),
        "getStatistics": read(
            "The totals",
            {"Three orders": {"total_count": 3, "total_revenue": "73.00", "by_status": _BY_STATUS}},
            [invalid((("query", "min_position"), "must be a whole number, in digits"))],
        ),
        "getDailyStatistics": read(
            "The days",
            {"One day": {"days": [_DAY]}},
            [invalid((("query", "to"), "must not be before from"))],
        ),
        "getStatusAnalytics": read(
            "The totals, as they were when they were last counted",
            {"Three orders": {"refreshed_at": SHIPPED_AT, "by_status": _BY_STATUS}},
            [invalid((("query", "min_position"), "must be a whole number, in digits"))],
            conditional=False,
        ),
    },
)
