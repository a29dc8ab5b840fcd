"""The problems that both services answer about orders."""

from shared.orders.errors import OrderNotFound
from shared.web.problems import READ_POSITION, Problem, Problems

PROBLEMS: Problems = {
    OrderNotFound: Problem("order-not-found", 404, "There is no such order", {"position": READ_POSITION})
}
