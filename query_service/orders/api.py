"""The order queries over HTTP."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from query_service.orders.answers import Details, Page, Statistics, StatusStatistics, Summary
from query_service.orders.parameters import OrderFilters
from query_service.orders.queries import OrderQueries
from query_service.parameters import ReadParameters
from query_service.read_your_writes import read_your_writes
from shared.event_log.events import Position
from shared.orders.values import CENT, OrderStatus

router = APIRouter(tags=["orders"], dependencies=[Depends(read_your_writes)])


async def order_queries(request: Request) -> OrderQueries:
    """Give the queries on this app's read model."""
    return OrderQueries(request.app.state.read_engine)


Orders = Annotated[OrderQueries, Depends(order_queries)]
Read = Annotated[ReadParameters, Query()]


@router.get("/orders", operation_id="listOrders", summary="List orders, newest first")
async def list_orders(filters: Annotated[OrderFilters, Query()], orders: Orders, response: Response) -> Page:
    """Give a page of the orders that pass the filters."""
    position, rows, next_cursor = await orders.list(filters)
    _reflects(response, position)
    return Page(items=[Summary.model_validate(row) for row in rows], next_cursor=next_cursor)


@router.get("/orders/{order_id}", operation_id="getOrder", summary="One order in full")
async def get_order(order_id: UUID, _: Read, orders: Orders, response: Response) -> Details:
    """Give the order with its lines; the ETag is its version."""
    position, row = await orders.get(order_id)
    _reflects(response, position)
    response.headers["ETag"] = f'"{row.version}"'
    return Details.model_validate(row)


@router.get("/statistics", operation_id="getStatistics", summary="Counts and revenue")
async def get_statistics(_: Read, orders: Orders, response: Response) -> Statistics:
    """Give the totals of all orders, and of each status."""
    position, rows = await orders.totals()
    _reflects(response, position)
    totals = {OrderStatus(row.status): (row.order_count, row.total_amount) for row in rows}
    by_status = [_status_statistics(status, *totals.get(status, (0, Decimal("0.00")))) for status in OrderStatus]
    shipped = next(one for one in by_status if one.status == OrderStatus.SHIPPED)
    return Statistics(
        total_count=sum(one.count for one in by_status), total_revenue=shipped.total_revenue, by_status=by_status
    )


def _status_statistics(status: OrderStatus, count: int, total: Decimal) -> StatusStatistics:
    average = (total / count if count else total).quantize(CENT)
    return StatusStatistics(status=status, count=count, total_revenue=total, average_order_value=average)


def _reflects(response: Response, position: Position) -> None:
    response.headers["Event-Position"] = str(position)
