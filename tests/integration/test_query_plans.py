"""Lists of orders are read out of indexes in order: `docs/reference/queries.md` holds. `--orders 1000000` is the full size."""

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.orders.listing import next_cursor, page_query
from query_service.orders.parameters import OrderFilters
from query_service.reading import READING, SEARCHING
from shared.orders.values import OrderStatus
from tests.support.apps import query_service
from tests.support.databases import Server, cloned, connected
from tests.support.many_orders import fill_order_summaries
from tests.support.plans import Plan, Statement, prepared, statements

pytestmark = [pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]

TABLE = "order_summaries"
BY_PLACED, BY_TOTAL = ("-placed_at", "placed_at"), ("-total_amount", "total_amount")
ANY_SORT = BY_PLACED + BY_TOTAL

STATUSES: dict[str, dict[str, Any]] = {
    "any status": {},
    "the status of most": {"status": ["shipped"]},
    "the status of few": {"status": ["pending"]},
    "two statuses": {"status": ["pending", "confirmed"]},
    "three statuses": {"status": ["cancelled", "shipped", "pending"]},
}
RANGES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "all": (ANY_SORT, {}),
    "a week": (BY_PLACED, {"placed_from": "2025-03-05T00:00:00Z", "placed_to": "2025-03-12T00:00:00+09:00"}),
    "until then": (BY_PLACED, {"placed_to": "2025-12-24T00:00:00Z"}),
    "since then": (BY_PLACED, {"placed_from": "2024-05-01T00:00:00Z"}),
    "50 to 60": (BY_TOTAL, {"min_total": "50", "max_total": "60"}),
    "at most 500": (BY_TOTAL, {"max_total": "500"}),
    "at least 5": (BY_TOTAL, {"min_total": "5"}),
}
MOST, SELDOM, NEVER = "Aiko Tanaka", "Ōta 佐藤 2", "Nobody"

IN_ORDER: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    **{
        f"{status}, {range_}": (sorts, {**filters, **bounds})
        for (status, filters), (range_, (sorts, bounds)) in product(STATUSES.items(), RANGES.items())
    },
    **{
        f"{status}, {customer}, {range_}": (BY_PLACED, {**filters, **RANGES[range_][1], "customer_name": customer})
        for (status, filters), customer, range_ in product(
            STATUSES.items(), (MOST, SELDOM, NEVER), ("all", "a week", "until then", "since then")
        )
    },
}
"""Sorts and filters that an index serves in order."""

FILTERED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "a common prefix": (ANY_SORT, {"q": "A"}),
    "a prefix": (ANY_SORT, {"q": "Aiko T"}),
    "a rare prefix": (ANY_SORT, {"q": "Ōta 佐藤 2"}),
    "a prefix of nobody": (ANY_SORT, {"q": "Zzz"}),
    "a prefix in a status": (ANY_SORT, {"q": "Aiko", "status": ["pending"]}),
    "a prefix in a week": (ANY_SORT, {"q": "Aiko", **RANGES["a week"][1]}),
    "the largest totals": (BY_PLACED, {"min_total": "4000"}),
    "the smallest totals": (BY_PLACED, {"max_total": "1"}),
    "totals that none has": (BY_PLACED, {"min_total": "99999999"}),
    "totals in a status": (BY_PLACED, {"min_total": "1000", "status": ["cancelled"]}),
    "a week": (BY_TOTAL, RANGES["a week"][1]),
    "the first days": (BY_TOTAL, {"placed_to": "2024-03-05T00:00:00Z"}),
    "who orders most": (BY_TOTAL, {"customer_name": MOST}),
    "who orders seldom": (BY_TOTAL, {"customer_name": SELDOM}),
    "who orders most, in a status": (BY_TOTAL, {"customer_name": MOST, "status": ["cancelled"]}),
}
"""Sorts and filters of which one or the other has an index; the planner weighs which."""


@dataclass(frozen=True, slots=True)
class Service:
    """The query service on a read model of many orders."""

    url: str
    orders: int
    http: httpx.AsyncClient

    async def statement(self, *, is_weighed: bool = False, **parameters: Any) -> Statement:
        """Give the statement that it sends for a page, on connections that keep no plan if it is weighed."""
        state = self.http._transport.app.state  # type: ignore[attr-defined]
        with statements(state.read_engine) as kept, statements(state.search_engine) as weighed:
            answer = await self.http.get("/orders", params=parameters)
        assert answer.status_code == 200, answer.text
        (statement,) = [one for one in (weighed if is_weighed else kept) if f"read_model.{TABLE}" in one.sql]
        return statement


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(request: pytest.FixtureRequest, postgres: Server, template: str) -> AsyncIterator[Service]:
    orders: int = request.config.getoption("--orders")
    async with cloned(postgres, template) as url:
        async with connected(url, 1, statement_timeout=None) as engine:
            await fill_order_summaries(engine, orders)
        async with query_service(url) as http:
            yield Service(url, orders, http)


@pytest_asyncio.fixture(loop_scope="module")
async def connection(service: Service) -> AsyncIterator[AsyncConnection]:
    """A connection whose changes are taken back."""
    async with connected(service.url, 1, autocommit=False) as engine, engine.connect() as connection:
        yield connection


async def pages(connection: AsyncConnection, sort: str, filters: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    """Give the parameters of the first page, and of one far down."""
    first = {"sort": sort, "limit": limit, **filters}
    many = OrderFilters.model_validate(first).model_copy(update={"limit": 10_000})
    query = page_query(many)
    rows = (await connection.execute(query.statement, query.parameters)).mappings().all()
    return [first, {**first, "cursor": next_cursor(many, rows[len(rows) * 9 // 10])}] if rows else [first]


def assert_in_order(plan: Plan, walks: int, limit: int) -> None:
    assert not plan.kinds & {"Sort", "Incremental Sort", "Seq Scan", "Bitmap Heap Scan"}, plan
    assert plan.rows_read(TABLE) <= limit + walks, plan
    assert plan.blocks <= plan.rows_read(TABLE) + 6 * (walks + 1), plan


@pytest.mark.parametrize("name", list(IN_ORDER))
async def test_a_page_is_read_in_order_and_no_more_than_the_page(
    service: Service, connection: AsyncConnection, name: str
) -> None:
    sorts, filters = IN_ORDER[name]
    walks = len(filters.get("status", OrderStatus))
    for sort in sorts:
        for parameters in await pages(connection, sort, filters, limit=10):
            statement = await service.statement(**parameters)
            for mode in ("force_custom_plan", "force_generic_plan"):
                async with prepared(connection, statement, {**READING, "plan_cache_mode": mode}) as explain:
                    assert_in_order(await explain(), walks, 10)


@pytest.mark.parametrize("name", list(FILTERED))
async def test_other_filters_read_a_small_part_of_the_orders(
    service: Service, connection: AsyncConnection, name: str
) -> None:
    """Were they spread evenly, the better of both ways would read at most √(limit × orders)."""
    sorts, filters = FILTERED[name]
    for sort in sorts:
        for parameters in await pages(connection, sort, filters, limit=50):
            statement = await service.statement(is_weighed=True, **parameters)
            async with prepared(connection, statement, SEARCHING) as explain:
                plan = await explain()
            assert TABLE not in plan.tables_scanned, plan
            assert plan.rows_read(TABLE) <= 4 * math.sqrt(51 * service.orders), plan


async def test_the_service_reads_with_these_settings(service: Service) -> None:
    state = service.http._transport.app.state  # type: ignore[attr-defined]
    for engine, settings in ((state.read_engine, READING), (state.search_engine, SEARCHING)):
        async with engine.connect() as reading:
            assert {name: await reading.scalar(text(f"SHOW {name}")) for name in settings} == settings


async def test_a_plan_for_one_prefix_is_not_kept_for_another(service: Service, connection: AsyncConnection) -> None:
    statement = await service.statement(is_weighed=True, q="Aiko T")
    others = [SELDOM if parameter == "Aiko T" else parameter for parameter in statement.parameters]
    async with prepared(connection, statement, SEARCHING) as explain:
        for _ in range(8):
            await explain()
        assert (await explain(others)).rows_read(TABLE) <= 4 * math.sqrt(51 * service.orders)


@pytest.mark.parametrize(
    ("index", "parameters"),
    [
        ("status_placed_at_idx", {}),
        ("status_total_amount_idx", {"sort": "total_amount"}),
        ("customer_name_status_placed_at_idx", {"customer_name": MOST, "status": ["shipped"]}),
    ],
)
async def test_no_index_is_there_in_vain(
    service: Service, connection: AsyncConnection, index: str, parameters: dict[str, Any]
) -> None:
    statement = await service.statement(limit=10, **parameters)
    walks = len(parameters.get("status", OrderStatus))
    for there in (True, False):
        async with prepared(connection, statement, SEARCHING) as explain:
            plan = await explain()
        if there:
            assert f"{TABLE}_{index}" in plan.indexes
            assert_in_order(plan, walks, 10)
        else:
            with pytest.raises(AssertionError):
                assert_in_order(plan, walks, 10)
        await connection.execute(text(f"DROP INDEX IF EXISTS read_model.{TABLE}_{index}"))
