"""The problems of refused order commands."""

from command_service.orders.errors import InvalidTransition, OrderAlreadyExists
from shared.orders.problems import PROBLEMS as SHARED_PROBLEMS
from shared.orders.values import OrderStatus
from shared.web.problems import Problem, Problems

PROBLEMS: Problems = {
    **SHARED_PROBLEMS,
    OrderAlreadyExists: Problem("order-already-exists", 409, "The order exists already"),
    InvalidTransition: Problem(
        "invalid-transition",
        409,
        "The order's status does not allow this",
        {"order_status": {"type": "string", "enum": list(OrderStatus), "description": "Where the order stands"}},
    ),
}
