"""Orders, as the composition root takes them."""

from query_service.aggregate import Aggregate
from query_service.orders.api import router
from query_service.orders.documentation import CHAPTER
from query_service.orders.projections import ORDER_DETAILS, ORDER_ITEMS, ORDER_SUMMARIES
from shared.orders.events import AGGREGATE_TYPE, EVENTS
from shared.orders.problems import PROBLEMS
from shared.orders.scopes import READ

ORDERS = Aggregate(
    AGGREGATE_TYPE,
    READ,
    EVENTS,
    (ORDER_SUMMARIES, ORDER_DETAILS, ORDER_ITEMS),
    router,
    PROBLEMS,
    {"order_statistics": [ORDER_SUMMARIES.name]},
    CHAPTER,
)
