"""The projections of orders, one module each."""

from query_service.orders.projections.details import ORDER_DETAILS
from query_service.orders.projections.items import ORDER_ITEMS
from query_service.orders.projections.summaries import ORDER_SUMMARIES

__all__ = ["ORDER_DETAILS", "ORDER_ITEMS", "ORDER_SUMMARIES"]
