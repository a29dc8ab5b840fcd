"""The problems that both services answer about orders."""

from shared.orders.errors import OrderNotFound
from shared.web.problems import Problem, Problems

PROBLEMS: Problems = {OrderNotFound: Problem("order-not-found", 404, "There is no such order")}
