"""The statement of a page of orders, and the cursor that leads to the next one; `docs/queries.md` tells its plans.

The indexes keep orders in order within a status, so a page is a merge of walks, one for each wanted status, that stop
when it is full. Where no status is asked for, all are walked: they are few, and an index on all orders besides would
cost every write more than the merge costs a read.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, FromClause, Numeric, Select, literal, select, tuple_, union_all

from query_service.cursor import InvalidCursor, decode_cursor, encode_cursor
from query_service.orders.parameters import Amount, OrderFilters, Sort, Timestamp
from query_service.orders.tables import order_summaries
from shared.database import AnyRow
from shared.orders.values import OrderStatus

_KEYS: Mapping[str, TypeAdapter[tuple[datetime | Decimal, UUID]]] = {
    "placed_at": TypeAdapter(tuple[Timestamp, UUID]),
    "total_amount": TypeAdapter(tuple[Amount, UUID]),
}

# The bound that a cursor takes the place of. Both in one condition would be right, but PostgreSQL may start an index
# scan at either, and from the bound it would read again all that the pages before have shown.
_PASSED: Mapping[Sort, str] = {
    "-placed_at": "placed_to",
    "placed_at": "placed_from",
    "-total_amount": "max_total",
    "total_amount": "min_total",
}


def page_query(filters: OrderFilters) -> Select[Any]:
    """Give the statement that reads the page and, if there is one, the row after it.

    Raises `InvalidCursor`.
    """
    walk = _ordered(order_summaries, filters.sort).where(*_conditions(filters)).limit(filters.limit + 1)
    walks = [walk.where(order_summaries.c.status == status) for status in filters.status or OrderStatus]
    if len(walks) == 1:
        return walks[0]
    return _ordered(union_all(*walks).subquery(), filters.sort).limit(filters.limit + 1)


def next_cursor(filters: OrderFilters, last: AnyRow) -> str:
    """Give the cursor that stands after this row."""
    return encode_cursor(_name(filters), [str(key) for key in sort_key(filters.sort, last)])


def sort_key(sort: Sort, row: AnyRow) -> tuple[Any, UUID]:
    """Give what orders rows in this sort, upwards or downwards; no two rows have the same."""
    return getattr(row, sort.removeprefix("-")), row.order_id


def descends(sort: Sort) -> bool:
    """Tell which way a sort goes."""
    return sort.startswith("-")


def _ordered(rows: FromClause, sort: Sort) -> Select[Any]:
    keys = (rows.c[sort.removeprefix("-")], rows.c.order_id)
    return select(rows).order_by(*((key.desc() for key in keys) if descends(sort) else keys))


def _conditions(filters: OrderFilters) -> list[ColumnElement[bool]]:
    """Give what every row of the page holds, whatever its status."""
    passed = () if filters.cursor is None else (_PASSED[filters.sort],)
    row = order_summaries.c
    wanted = {
        "customer_name": None if filters.customer_name is None else row.customer_name == filters.customer_name,
        "q": None if filters.q is None else row.customer_name.startswith(filters.q, autoescape=True),
        "placed_from": None if filters.placed_from is None else row.placed_at >= filters.placed_from,
        "placed_to": None if filters.placed_to is None else row.placed_at < filters.placed_to,
        "min_total": None if filters.min_total is None else row.total_amount >= _amount(filters.min_total),
        "max_total": None if filters.max_total is None else row.total_amount <= _amount(filters.max_total),
        "cursor": None if filters.cursor is None else _after(filters, filters.cursor),
    }
    return [condition for name, condition in wanted.items() if condition is not None and name not in passed]


def _amount(bound: Decimal) -> ColumnElement[Decimal]:
    """Bind a bound as it is, not as the column's numeric(10,2), which overflows."""
    return literal(bound, Numeric())


def _after(filters: OrderFilters, cursor: str) -> ColumnElement[bool]:
    name = filters.sort.removeprefix("-")
    try:
        value, order_id = _KEYS[name].validate_python(decode_cursor(_name(filters), cursor))
    except ValidationError as error:
        raise InvalidCursor from error
    row = tuple_(order_summaries.c[name], order_summaries.c.order_id)
    last = tuple_(literal(value), literal(order_id))
    return row < last if descends(filters.sort) else row > last


def _name(filters: OrderFilters) -> str:
    """Name the query: what tells its rows and their order, but for which page of them, from another's."""
    return "orders" + filters.model_dump_json(exclude={"limit", "cursor", "min_position"}, exclude_defaults=True)
