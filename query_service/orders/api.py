"""The order queries over HTTP."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

from query_service.events_api import Events, HistoryParameters, shown
from query_service.orders.answers import (
    DailyStatistics,
    Day,
    Details,
    Page,
    Statistics,
    StatusAnalytics,
    StatusStatistics,
)
from query_service.orders.history import OrderHistory
from query_service.orders.parameters import DailyParameters, InvalidDays, OrderFilters, OrderParameters
from query_service.orders.queries import OrderQueries, analytics
from query_service.parameters import ReadParameters
from query_service.read_your_writes import ReadRoute, read_model
from query_service.reading import ReadModel
from query_service.strict_query import invalid
from shared.event_log.events import Position
from shared.orders.examples import ORDER_ID
from shared.orders.values import CENT, OrderStatus

router = APIRouter(tags=["orders"], route_class=ReadRoute)

OrderId = Annotated[UUID, Path(description="The order's id", examples=[ORDER_ID])]

Read = Annotated[ReadParameters, Query()]


@router.get("/orders", response_model=Page, operation_id="listOrders", summary="List orders, newest first")
async def list_orders(filters: Annotated[OrderFilters, Query()], request: Request) -> Response:
    """Give a page of the orders that pass the filters."""
    position, orders, next_cursor = await OrderQueries(await read_model(request)).list(filters)
    return _answer(f'{{"items":[{",".join(orders)}],"next_cursor":{json.dumps(next_cursor)}}}', position)


@router.get(
    "/orders/{order_id}", response_model=Details, operation_id="getOrder", summary="One order in full, now or as it was"
)
async def get_order(order_id: OrderId, when: Annotated[OrderParameters, Query()], request: Request) -> Response:
    """Give the order with its lines; the ETag is its version.

    With `version` or `as_of` it is folded from its events, as it was then.
    """
    read = await read_model(request)
    if when.version is not None:
        position, order = await _history(request, read).at_version(order_id, when.version)
    elif when.as_of is not None:
        position, order = await _history(request, read).as_of(order_id, when.as_of)
    else:
        position, row = await OrderQueries(read).get(order_id)
        if not row.is_partial:
            return _answer(row.shown, position, ETag=f'"{row.version}"')
        order = await _history(request, read).until(order_id, position)
    return _answer(order, position, ETag=f'"{order.version}"')


@router.get(
    "/orders/{order_id}/history", response_model=Events, operation_id="getOrderHistory", summary="An order's events"
)
async def get_order_history(
    order_id: OrderId, parameters: Annotated[HistoryParameters, Query()], request: Request
) -> Response:
    """Give every event of the order, oldest first, from the log itself."""
    position, events = await _history(request, await read_model(request)).events(order_id)
    return _answer(f'{{"items": {shown(events, parameters.schema_, request)}}}', position)


@router.get("/statistics", response_model=Statistics, operation_id="getStatistics", summary="Counts and revenue")
async def get_statistics(_: Read, request: Request) -> Response:
    """Give the totals of all orders, and of each status."""
    position, rows = await OrderQueries(await read_model(request)).totals()
    totals = {OrderStatus(row.status): (row.order_count, row.total_amount) for row in rows}
    by_status = [_status_statistics(status, *totals.get(status, (0, Decimal("0.00")))) for status in OrderStatus]
    shipped = next(one for one in by_status if one.status == OrderStatus.SHIPPED)
    count = sum(one.count for one in by_status)
    return _answer(Statistics(total_count=count, total_revenue=shipped.total_revenue, by_status=by_status), position)


@router.get(
    "/statistics/daily", response_model=DailyStatistics, operation_id="getDailyStatistics", summary="Sales by day"
)
async def get_daily_statistics(parameters: Annotated[DailyParameters, Query()], request: Request) -> Response:
    """Give counts and revenue of the orders placed, and of those shipped, on each day in UTC, for charts."""
    read = await read_model(request)
    try:
        first, last = parameters.days(datetime.now(UTC).date())
    except InvalidDays as error:
        raise invalid(("query", error.name), because=str(error)) from error
    position, rows = await OrderQueries(read).by_day(first, last)
    if parameters.from_ is None or parameters.to is None:
        read.depends_on_the_clock()
    found = {row.day: Day.model_validate(row) for row in rows}
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return _answer(DailyStatistics(days=[found.get(day) or _empty(day) for day in days]), position)


@router.get(
    "/analytics/statuses",
    response_model=StatusAnalytics,
    operation_id="getStatusAnalytics",
    summary="Orders by status, some seconds old",
)
async def get_status_analytics(_: Read, request: Request) -> Response:
    """Give the totals of each status from a materialized view, which is refreshed every few seconds."""
    read = await read_model(request)
    await request.app.state.views.wait_for("order_statistics", read.wanted, read.seconds)
    position, rows = await analytics(read)
    order = {status: number for number, status in enumerate(OrderStatus)}
    by_status = [StatusStatistics.model_validate(row, from_attributes=True) for row in rows]
    by_status.sort(key=lambda one: order[one.status])
    return _answer(StatusAnalytics(refreshed_at=rows[0].refreshed_at, by_status=by_status), position)


def _history(request: Request, read: ReadModel) -> OrderHistory:
    state = request.app.state
    return OrderHistory(state.event_log, state.event_registry, read)


def _empty(day: date) -> Day:
    nothing = Decimal("0.00")
    return Day(day=day, placed_count=0, placed_revenue=nothing, shipped_count=0, shipped_revenue=nothing)


def _status_statistics(status: OrderStatus, count: int, total: Decimal) -> StatusStatistics:
    average = (total / count if count else total).quantize(CENT, ROUND_HALF_UP)  # as PostgreSQL rounds
    return StatusStatistics(status=status, count=count, total_revenue=total, average_order_value=average)


def _answer(content: BaseModel | str, position: Position, **headers: str) -> Response:
    text = content if isinstance(content, str) else content.model_dump_json()
    return Response(text, headers={"Event-Position": str(position), **headers}, media_type="application/json")
