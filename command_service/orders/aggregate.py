"""Orders, as the composition root takes them."""

from command_service.aggregate import Aggregate
from command_service.orders.api import router
from command_service.orders.decider import DECIDER, OrderState
from command_service.orders.documentation import CHAPTER
from command_service.orders.problems import PROBLEMS
from command_service.snapshots import StateSchema
from shared.orders.events import AGGREGATE_TYPE, EVENTS
from shared.orders.scopes import WRITE

ORDERS = Aggregate(AGGREGATE_TYPE, WRITE, DECIDER, StateSchema(OrderState), EVENTS, router, PROBLEMS, CHAPTER)
