"""Pages of `GET /orders`, walked to the end: every order once and in order, also while others are placed and changed."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import httpx
import pytest

from command_service.postgres_store import PostgresEventStore
from shared.orders.events import OrderCancelled, OrderConfirmed, OrderEvent, OrderShipped
from tests.support.http import get
from tests.support.orders import START, commit, placed

SORTS = ["-placed_at", "placed_at", "-total_amount", "total_amount"]
Order = dict[str, Any]


async def walk(
    http: httpx.AsyncClient, position: Callable[[], Awaitable[int]], **parameters: Any
) -> AsyncIterator[list[Order]]:
    """Give page after page, each at the position that is then asked for."""
    cursor: dict[str, str] = {}
    while True:
        answer = await get(http, "/orders", await position(), **parameters, **cursor)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield page["items"]
        if page["next_cursor"] is None:
            return
        assert len(page["items"]) == parameters["limit"], "only the last page is short"
        cursor = {"cursor": page["next_cursor"]}


def key(order: Order, sort: str) -> tuple[Any, UUID]:
    value = order[sort.removeprefix("-")]
    return float(value) if "total" in sort else value, UUID(order["order_id"])


def assert_sorted(orders: list[Order], sort: str) -> None:
    for one, next_one in pairwise(key(order, sort) for order in orders):
        assert one > next_one if sort.startswith("-") else one < next_one


@dataclass(frozen=True, slots=True)
class Change:
    """An event of an order, and the status that the order has by it."""

    order_id: UUID
    status: str
    event: OrderEvent
    at: datetime


class Writer:
    """Places and changes orders at random, and remembers every status that each has had.

    Times and totals are few, so that most orders share theirs with others; ids are not in the order of placing.
    """

    def __init__(self, store: PostgresEventStore, seed: int) -> None:
        self._store = store
        self._random = random.Random(seed)
        self._versions: dict[UUID, int] = {}
        self.statuses: dict[UUID, list[str]] = {}

    async def place(self, count: int) -> None:
        await self._append([self._an_order() for _ in range(count)])

    async def change(self, count: int) -> None:
        some = self._random.sample(list(self.statuses), min(count, len(self.statuses)))
        at = START + timedelta(days=1)
        await self._append(
            [Change(one, status, event, at) for one in some for status, event in self._next(self.statuses[one][-1])]
        )

    async def position(self) -> int:
        return await self._store.head()

    def _an_order(self) -> Change:
        order_id = UUID(int=self._random.getrandbits(128))
        order = placed(
            self._random.choice(["Aiko", "Aiko Tanaka", "Chloé"]), self._random.choice(["5.00", "10.00", "1000.00"])
        )
        return Change(order_id, "pending", order, START + timedelta(minutes=self._random.randrange(5)))

    def _next(self, status: str) -> Iterator[tuple[str, OrderEvent]]:
        following: dict[str, list[tuple[str, OrderEvent]]] = {
            "pending": [("confirmed", OrderConfirmed()), ("cancelled", OrderCancelled(reason="late"))],
            "confirmed": [("shipped", OrderShipped(carrier=None, tracking_number=None))],
        }
        if status in following:
            yield self._random.choice(following[status])

    async def _append(self, changes: Sequence[Change]) -> None:
        await self._store.append(
            [commit(one.order_id, self._versions.get(one.order_id, 0), one.event, at=one.at) for one in changes]
        )
        for one in changes:
            self._versions[one.order_id] = self._versions.get(one.order_id, 0) + 1
            self.statuses.setdefault(one.order_id, []).append(one.status)


@pytest.mark.parametrize("sort", SORTS)
async def test_pages_give_orders_with_equal_keys_once(
    http: httpx.AsyncClient, store: PostgresEventStore, sort: str
) -> None:
    await store.append([commit(UUID(int=number), 0, placed(price="10.00")) for number in range(1, 24)])
    for limit in (1, 5, 23, 24):
        pages = [page async for page in walk(http, store.head, sort=sort, limit=limit)]
        found = [UUID(order["order_id"]).int for page in pages for order in page]
        assert found == sorted(range(1, 24), reverse=sort.startswith("-"))
        assert len(pages) == -(-23 // limit), "no page is empty, also where the last one is full"


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"status": ["pending"]},
        {"status": ["pending", "confirmed"]},
        {"status": ["confirmed", "shipped", "cancelled"]},
        {"customer_name": "Aiko"},
        {"customer_name": "Chloé", "status": ["pending", "confirmed", "shipped"]},
        {"q": "Aiko"},
        {"placed_from": "2026-03-01T00:01:00Z", "placed_to": "2026-03-01T00:04:00Z", "max_total": "10"},
    ],
)
@pytest.mark.parametrize("sort", SORTS)
async def test_a_walk_meets_every_order_that_stays_and_none_twice(
    http: httpx.AsyncClient, store: PostgresEventStore, sort: str, filters: dict[str, Any]
) -> None:
    """While orders are placed, confirmed, shipped and cancelled, between the pages and during each."""
    writer = Writer(store, seed=SORTS.index(sort))
    await writer.place(36)
    await writer.change(15)
    before = {order_id: len(statuses) - 1 for order_id, statuses in writer.statuses.items()}
    everything = {"sort": sort, "limit": 200, **filters}
    stays = {UUID(order["order_id"]) async for page in walk(http, writer.position, **everything) for order in page}
    found: list[Order] = []
    async for page in walk(http, writer.position, sort=sort, limit=4, **filters):
        found += page
        await asyncio.gather(writer.place(2), writer.change(6), http.get("/orders"))
    wanted = set(filters.get("status", ["pending", "confirmed", "shipped", "cancelled"]))
    stays = {order_id for order_id in stays if wanted.issuperset(writer.statuses[order_id][before[order_id] :])}
    ids = [UUID(order["order_id"]) for order in found]
    assert len(set(ids)) == len(ids), "no order twice"
    assert stays <= set(ids), "no order lost that was there throughout"
    assert_sorted(found, sort)
    assert all(order["status"] in wanted for order in found)


@pytest.mark.parametrize("sort", SORTS)
async def test_a_walk_beside_a_writer_that_never_rests(
    http: httpx.AsyncClient, store: PostgresEventStore, sort: str
) -> None:
    writer = Writer(store, seed=7)
    await writer.place(80)
    there = set(writer.statuses)

    async def write() -> None:
        while len(writer.statuses) < 500:
            await writer.place(1)
            await writer.change(3)

    writing = asyncio.create_task(write())
    try:
        found = [order async for page in walk(http, writer.position, sort=sort, limit=3) for order in page]
    finally:
        writing.cancel()
        await asyncio.wait([writing])
    ids = [UUID(order["order_id"]) for order in found]
    assert len(set(ids)) == len(ids)
    assert there <= set(ids)
    assert_sorted(found, sort)
    assert len(writer.statuses) > len(there), "others were placed meanwhile"
