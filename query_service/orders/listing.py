"""The statement of a page of orders, and the cursor that leads to the next one; `docs/reference/queries.md` tells its plans.

The indexes keep orders in order within a status, so a page is a merge of walks, one for each wanted status, that stop
when it is full. Where no status is asked for, all are walked: they are few, and an index on all orders besides would
cost every write more than the merge costs a read.
"""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Numeric,
    RowMapping,
    Select,
    Subquery,
    Text,
    bindparam,
    literal_column,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.types import TypeEngine

from query_service.cursor import InvalidCursor, decode_cursor, encode_cursor
from query_service.json_rows import json_rows
from query_service.orders.parameters import Amount, OrderFilters, Sort, Timestamp
from query_service.orders.tables import order_summaries
from shared.driver import Record
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


class PageQuery(NamedTuple):
    """The statement that reads a page and, if there is one, the row after it, and its parameters.

    A row is an order as it is `shown`, in JSON, and its sort key.
    It `is_weighed` if no index serves it in order whatever the values are.
    """

    statement: Select[Any]
    parameters: Mapping[str, object]
    is_weighed: bool


def page_query(filters: OrderFilters) -> PageQuery:
    """Make the statement: requests of one shape and limit, whatever their values, have one.

    Raises `InvalidCursor`.
    """
    given = {name: value for name in _CONDITIONS if (value := getattr(filters, name)) is not None}
    if filters.cursor is not None:
        given.pop(_PASSED[filters.sort], None)
        given["after"], given["after_id"] = _last_shown(filters, filters.cursor)
    if filters.q is not None:
        given["q"] = re.sub(r"([/%_])", r"/\1", filters.q) + "%"
    statuses = tuple(filters.status or OrderStatus)
    statement = _statement(filters.sort, statuses, frozenset(given), filters.limit + 1)
    return PageQuery(statement, given, is_weighed=not given.keys() <= _IN_ORDER[_column(filters.sort)])


_IN_ORDER: Mapping[str, AbstractSet[str]] = {
    "placed_at": {"customer_name", "placed_from", "placed_to", "after", "after_id"},
    "total_amount": {"min_total", "max_total", "after", "after_id"},
}
"""The parameters that an index serves in the order of a sort."""


def next_cursor(filters: OrderFilters, last: Record | RowMapping) -> str:
    """Give the cursor that stands after this row."""
    return encode_cursor(_name(filters), [str(key) for key in sort_key(last)])


sort_key = itemgetter("key", "order_id")
"""Gives what orders rows, upwards or downwards; no two rows have the same."""


def descends(sort: Sort) -> bool:
    """Tell which way a sort goes."""
    return sort.startswith("-")


@lru_cache(maxsize=1024)
def _statement(sort: Sort, statuses: Sequence[OrderStatus], given: frozenset[str], rows: int) -> Select[Any]:
    row = order_summaries.c
    conditions = [condition for name, condition in _CONDITIONS.items() if name in given]
    if "after" in given:
        shown = tuple_(bindparam("after", type_=_type(sort)), bindparam("after_id", type_=row.order_id.type))
        keys = tuple_(row[_column(sort)], row.order_id)
        conditions.append(keys < shown if descends(sort) else keys > shown)
    walk = _ordered(order_summaries, sort).where(*conditions).limit(literal_column(str(rows)))
    walks = [walk.where(row.status == status) for status in statuses]
    page = (
        walks[0] if len(walks) == 1 else _ordered(union_all(*walks).subquery(), sort).limit(literal_column(str(rows)))
    )
    return _rendered(page.subquery(), sort)


def _rendered(page: Subquery, sort: Sort) -> Select[Any]:
    """Give the orders as they are shown, with what they are sorted by."""
    rows, shown = json_rows(page)
    return select(shown.label("shown"), page.c[_column(sort)].label("key"), page.c.order_id).select_from(rows)


def _ordered(rows: FromClause, sort: Sort) -> Select[Any]:
    keys = (rows.c[_column(sort)], rows.c.order_id)
    return select(rows).order_by(*((key.desc() for key in keys) if descends(sort) else keys))


def _column(sort: Sort) -> str:
    return sort.removeprefix("-")


def _type(sort: Sort) -> TypeEngine[Any]:
    """Give the type of a bound: totals as they are, not as the column's numeric(10,2), which overflows."""
    return Numeric() if _column(sort) == "total_amount" else order_summaries.c.placed_at.type


def _conditions() -> Mapping[str, ColumnElement[bool]]:
    """Give what every row of a page holds, whatever its status, by the parameter that asks for it."""
    row = order_summaries.c
    placed_from, placed_to = (bindparam(name, type_=_type("placed_at")) for name in ("placed_from", "placed_to"))
    min_total, max_total = (bindparam(name, type_=_type("total_amount")) for name in ("min_total", "max_total"))
    return {
        "customer_name": row.customer_name == bindparam("customer_name", type_=Text()),
        "q": row.customer_name.like(bindparam("q", type_=Text()), escape="/"),
        "placed_from": row.placed_at >= placed_from,
        "placed_to": row.placed_at < placed_to,
        "min_total": row.total_amount >= min_total,
        "max_total": row.total_amount <= max_total,
    }


_CONDITIONS = _conditions()


def _last_shown(filters: OrderFilters, cursor: str) -> tuple[datetime | Decimal, UUID]:
    try:
        return _KEYS[_column(filters.sort)].validate_python(decode_cursor(_name(filters), cursor))
    except ValidationError as error:
        raise InvalidCursor from error


def _name(filters: OrderFilters) -> str:
    """Name the query: what tells its rows and their order, but for which page of them, from another's."""
    return "orders" + filters.model_dump_json(exclude={"limit", "cursor", "min_position"}, exclude_defaults=True)
