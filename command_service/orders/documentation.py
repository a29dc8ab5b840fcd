"""What the API document tells of the order commands."""

import json

from command_service.documentation import bulk, command
from command_service.orders.errors import InvalidTransition, OrderAlreadyExists, OrderNotFound
from shared.orders.examples import ADDRESS, CUSTOMER, ITEM, ORDER_ID, REASON, SHIPPED
from shared.orders.values import OrderStatus
from shared.web.documentation import Chapter, Examples, Link, invalid

_ITEMS = [ITEM, {"product_name": "Teapot", "quantity": 1, "unit_price": "48.00"}]
_UNKNOWN_FIELD = invalid((("body", "colour"), "Extra inputs are not permitted"))


_CONFIRM, _SHIP, _CANCEL = (
    Link(name, "order_id", "/order_id") for name in ("confirmOrder", "shipOrder", "cancelOrder")
)


def _order(status: OrderStatus, version: int) -> Examples:
    return {
        f"The order is {status}": {
            "order_id": ORDER_ID,
            "status": status.value,
            "version": version,
            "position": version,
        }
    }


def _lines(*lines: object) -> str:
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def _done(status: int, order_status: OrderStatus, version: int) -> object:
    body = {"order_id": ORDER_ID, "status": order_status.value, "version": version, "position": version}
    return {"status": status, "body": body}


_REFUSED = {
    "type": "urn:daicho:problem:invalid-transition",
    "title": "The order's status does not allow this",
    "status": 409,
    "detail": "A confirmed order cannot be confirmed.",
    "instance": "/orders/batch#3",
    "order_status": "confirmed",
}

CHAPTER = Chapter(
    "orders",
    "An order is placed, then confirmed, then shipped; until it is shipped, it can be cancelled.",
    {
        "placeOrder": command(
            "The order is placed",
            _order(OrderStatus.PENDING, 1),
            {
                "The least": {"customer_name": CUSTOMER, "items": [ITEM]},
                "With an id of your own, and an address": {
                    "order_id": ORDER_ID,
                    "customer_name": CUSTOMER,
                    "items": _ITEMS,
                    "shipping_address": ADDRESS,
                },
            },
            [
                invalid(
                    (("body", "items", 0, "quantity"), "Input should be greater than or equal to 1"),
                    (("body", "shipping_address", "country"), "must be an ISO 3166-1 alpha-2 country code, such as JP"),
                ),
                OrderAlreadyExists(),
            ],
            creates=True,
            links=[_CONFIRM, _SHIP, _CANCEL],
        ),
        "confirmOrder": command(
            "The order is confirmed",
            _order(OrderStatus.CONFIRMED, 2),
            {"It needs no more, not even this": {}},
            [_UNKNOWN_FIELD, OrderNotFound(), InvalidTransition("confirmed", OrderStatus.SHIPPED)],
            links=[_SHIP, _CANCEL],
        ),
        "shipOrder": command(
            "The order is shipped",
            _order(OrderStatus.SHIPPED, 3),
            {"With a number to track it by": SHIPPED, "By whom is not told": {}},
            [_UNKNOWN_FIELD, OrderNotFound(), InvalidTransition("shipped", OrderStatus.PENDING)],
        ),
        "cancelOrder": command(
            "The order is cancelled",
            _order(OrderStatus.CANCELLED, 2),
            {"Why": {"reason": REASON}},
            [
                invalid((("body", "reason"), "Field required")),
                OrderNotFound(),
                InvalidTransition("cancelled", OrderStatus.SHIPPED),
            ],
        ),
        "sendCommands": bulk(
            {
                "The third was refused, the others took effect": _lines(
                    _done(201, OrderStatus.PENDING, 1),
                    _done(200, OrderStatus.CONFIRMED, 2),
                    {"status": 409, "body": _REFUSED},
                )
            },
            {
                "An order from its beginning": _lines(
                    {
                        "command": "PlaceOrder",
                        "key": "4711-place",
                        "order_id": ORDER_ID,
                        "customer_name": CUSTOMER,
                        "items": [ITEM],
                    },
                    {"command": "ConfirmOrder", "key": "4711-confirm", "order_id": ORDER_ID, "expected_version": 1},
                    {"command": "ConfirmOrder", "order_id": ORDER_ID},
                )
            },
        ),
    },
)
