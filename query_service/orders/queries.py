"""The queries of the order read models; each is one statement."""

from collections.abc import Sequence
from datetime import date
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    Text,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from query_service.json_rows import json_rows
from query_service.orders.listing import descends, next_cursor, page_query, sort_key
from query_service.orders.parameters import OrderFilters
from query_service.orders.projections import ORDER_SUMMARIES
from query_service.orders.tables import (
    order_details,
    order_items,
    order_statistics,
    order_summaries,
    order_totals,
    sales_by_day,
)
from query_service.reading import ReadModel
from query_service.tables import parked_events
from shared.database import AnyRow, fetch_all
from shared.driver import Record
from shared.event_log.events import Position, StreamId
from shared.orders.errors import OrderNotFound
from shared.orders.events import AGGREGATE_TYPE, Address

Page = tuple[Position, Sequence[str], str | None]
"""Position, orders, next cursor."""


class OrderQueries:
    """Reads the order read models. Every method gives the position that its answer reflects, first.

    All raise what `ReadModel.fetch` raises.
    """

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def list(self, filters: OrderFilters) -> Page:
        """Give a page of summaries, each a JSON object.

        Raises `InvalidCursor`.
        """
        query, parameters, is_weighed = page_query(filters)
        position, rows = await self._read_model.fetch(
            query, parameters, ["order_summaries"], AGGREGATE_TYPE, plan_by_values=is_weighed
        )
        # The statement reads in order; that the join with its position keeps it, SQL does not promise.
        page = sorted(rows, key=sort_key, reverse=descends(filters.sort))[: filters.limit]
        cursor = next_cursor(filters, page[-1]) if len(page) < len(rows) else None
        return position, [row["shown"] for row in page], cursor

    async def get(self, order_id: UUID) -> tuple[Position, Record]:
        """Give an order, as it is `shown`, in JSON, and its `version`; `is_partial` if it has parked events.

        Its read models are not all of one position then. Raises `OrderNotFound`.
        """
        projections = ["order_summaries", "order_details", "order_items"]
        position, row = await self._read_model.fetch_one(_order, projections, StreamId(AGGREGATE_TYPE, order_id))
        if row is None:
            raise OrderNotFound(position)
        return position, row

    async def totals(self) -> tuple[Position, Sequence[Record]]:
        """Give the totals of each status that an order has had."""
        return await self._read_model.fetch(_TOTALS, {}, ["order_summaries"], AGGREGATE_TYPE)

    async def by_day(self, first: date, last: date) -> tuple[Position, Sequence[Record]]:
        """Give the sales of each day on which there were any, in order."""
        days = {"first": first, "last": last}
        position, rows = await self._read_model.fetch(_BY_DAY, days, ["order_summaries"], AGGREGATE_TYPE)
        return position, sorted(rows, key=lambda row: row.day)


async def analytics(read: ReadModel) -> tuple[Position, Sequence[AnyRow]]:
    """Give the position that the materialized view reflects, and its rows.

    Raises `ReadModelBehind`, also if the wanted event itself is parked, or was when the view was made,
    `DatabaseUnavailable` and `Overloaded`.
    """
    rows = await fetch_all(read.engine, _STATISTICS, {"wanted": read.wanted})
    position = Position(rows[0].position)
    is_parked = rows[0].is_parked or read.wanted in rows[0].parked
    read.require(Position(read.wanted - 1) if is_parked else position, is_parked=is_parked)
    return position, rows


def _items() -> ColumnElement[Any]:
    item = order_items.c
    line = func.json_build_object(
        "product_name", item.product_name,
        "quantity", item.quantity,
        "unit_price", cast(item.unit_price, Text),
        "subtotal", cast(item.subtotal, Text),
    )  # fmt: skip
    lines: Select[Any] = select(func.json_agg(aggregate_order_by(line, item.line_number))).where(
        item.order_id == order_summaries.c.order_id
    )
    return func.coalesce(lines.scalar_subquery(), text("'[]'::json")).label("items")


def _address() -> ColumnElement[Any]:
    """Give the address with its members in their own order, which `jsonb` does not keep."""
    address = order_details.c.shipping_address
    members = chain.from_iterable((literal_column(f"'{name}'"), address[name].astext) for name in Address.model_fields)
    return case((address.is_not(None), func.json_build_object(*members))).label("shipping_address")


def _orders() -> Subquery:
    detail = order_details.c
    more = [_items(), _address(), detail.carrier, detail.tracking_number, detail.cancellation_reason]
    return select(order_summaries, *more).join(order_details, detail.order_id == order_summaries.c.order_id).subquery()


def _order(order_id: ColumnElement[UUID]) -> Select[Any]:
    orders = _orders()
    rows, shown = json_rows(orders)
    return select(shown.label("shown"), orders.c.version).select_from(rows).where(orders.c.order_id == order_id)


_TOTALS = select(order_totals.c.status, order_totals.c.count.label("order_count"), order_totals.c.total_amount)
_BY_DAY = select(sales_by_day).where(sales_by_day.c.day.between(bindparam("first"), bindparam("last")))
_STATISTICS = select(
    order_statistics,
    exists(
        select(parked_events.c.position).where(
            parked_events.c.projection == ORDER_SUMMARIES.name,
            parked_events.c.generation == "live",
            parked_events.c.position == bindparam("wanted"),
        )
    ).label("is_parked"),
)
