"""Orders, as the composition root takes them."""

from command_service.aggregate import Aggregate
from command_service.orders.api import router
from command_service.orders.decider import DECIDER
from command_service.orders.problems import PROBLEMS
from shared.orders.events import AGGREGATE_TYPE, EVENTS

ORDERS = Aggregate(AGGREGATE_TYPE, DECIDER, EVENTS, router, PROBLEMS)
