"""The queries of the order read models; each is one statement."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, FromClause, Numeric, Select, Text, cast, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by

from query_service.cursor import InvalidCursor, decode_cursor, encode_cursor
from query_service.orders.parameters import Amount, OrderFilters, Sort, Timestamp
from query_service.orders.tables import order_details, order_items, order_summaries, order_totals
from query_service.reading import ReadModel
from shared.database import AnyRow
from shared.event_log.events import Position, StreamId
from shared.orders.errors import OrderNotFound
from shared.orders.events import AGGREGATE_TYPE

Page = tuple[Position, Sequence[AnyRow], str | None]
"""Position, rows, next cursor."""


_CURSOR_KEYS: Mapping[str, TypeAdapter[Any]] = {
    "placed_at": TypeAdapter(tuple[Timestamp, UUID]),
    "total_amount": TypeAdapter(tuple[Amount, UUID]),
}


class OrderQueries:
    """Reads the order read models. Every method gives the position that its answer reflects, first.

    All raise what `ReadModel.fetch` raises.
    """

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def list(self, filters: OrderFilters) -> Page:
        """Give a page of summaries.

        Raises `InvalidCursor`.
        """
        name, descending = filters.sort.removeprefix("-"), filters.sort.startswith("-")

        def order_by(rows: FromClause) -> Sequence[ColumnElement[Any]]:
            keys = (rows.c[name], rows.c.order_id)
            return [key.desc() for key in keys] if descending else keys

        query = select(order_summaries).where(*_conditions(filters))
        if filters.cursor is not None:
            keys = tuple_(order_summaries.c[name], order_summaries.c.order_id)
            after = tuple_(*(literal(key) for key in _cursor_keys(filters.sort, filters.cursor)))
            query = query.where(keys < after if descending else keys > after)
        query = query.order_by(*order_by(order_summaries)).limit(filters.limit + 1)
        position, rows = await self._read_model.fetch(query, ["order_summaries"], AGGREGATE_TYPE, order_by)
        if len(rows) <= filters.limit:
            return position, rows, None
        rows = rows[: filters.limit]
        return position, rows, encode_cursor(filters.sort, [str(getattr(rows[-1], name)), str(rows[-1].order_id)])

    async def get(self, order_id: UUID) -> tuple[Position, AnyRow]:
        """Give an order's summary and details, and its items as a JSON array.

        Raises `OrderNotFound`.
        """
        query = (
            select(order_summaries, *(c for c in order_details.c if not c.primary_key), _items().label("items"))
            .join(order_details, order_details.c.order_id == order_summaries.c.order_id)
            .where(order_summaries.c.order_id == order_id)
        )
        projections = ["order_summaries", "order_details", "order_items"]
        position, rows = await self._read_model.fetch(query, projections, StreamId(AGGREGATE_TYPE, order_id))
        if not rows:
            raise OrderNotFound(position)
        return position, rows[0]

    async def totals(self) -> tuple[Position, Sequence[AnyRow]]:
        """Give the totals of each status that an order has had."""
        total = order_totals.c
        query = select(total.status, total.count.label("order_count"), total.total_amount)
        return await self._read_model.fetch(query, ["order_summaries"], AGGREGATE_TYPE)


def _conditions(filters: OrderFilters) -> "list[ColumnElement[bool]]":
    row = order_summaries.c
    wanted = {
        "status": row.status.in_(filters.status) if filters.status else None,
        "customer_name": None if filters.customer_name is None else row.customer_name == filters.customer_name,
        "q": None if filters.q is None else row.customer_name.startswith(filters.q, autoescape=True),
        "placed_from": None if filters.placed_from is None else row.placed_at >= filters.placed_from,
        "placed_to": None if filters.placed_to is None else row.placed_at < filters.placed_to,
        "min_total": None if filters.min_total is None else row.total_amount >= _amount(filters.min_total),
        "max_total": None if filters.max_total is None else row.total_amount <= _amount(filters.max_total),
    }
    return [condition for condition in wanted.values() if condition is not None]


def _amount(bound: Decimal) -> ColumnElement[Decimal]:
    """Bind a bound as it is, not as the column's numeric(10,2), which overflows."""
    return literal(bound, Numeric())


def _cursor_keys(sort: Sort, cursor: str) -> tuple[datetime | Decimal, UUID]:
    keys: TypeAdapter[Any] = _CURSOR_KEYS[sort.removeprefix("-")]
    try:
        value, order_id = keys.validate_python(decode_cursor(sort, cursor))
    except ValidationError as error:
        raise InvalidCursor from error
    return value, order_id


def _items() -> "ColumnElement[Any]":
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
    return lines.scalar_subquery()
