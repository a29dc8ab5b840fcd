"""An order that PostgreSQL writes is the one that its model writes, member by member, whatever is in it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from command_service.postgres_store import PostgresEventStore
from shared.orders.events import (
    Address,
    OrderCancelled,
    OrderConfirmed,
    OrderEvent,
    OrderItem,
    OrderPlaced,
    OrderShipped,
)
from tests.support.apps import query_service
from tests.support.http import get
from tests.support.orders import START, commit

ODD = 'O\'Brien "Bob" \\ 佐藤 \u2028 \u0001 \U0001f375 </script> %s {0} :name'
TIMES = [
    timedelta(),
    timedelta(microseconds=1),
    timedelta(milliseconds=250),
    timedelta(seconds=59, microseconds=999_999),
]
ADDRESSES = [
    None,
    Address(recipient=ODD, line1="1", city="Tokyo", postal_code="104-0061", country="JP"),
    Address(recipient="B", line1="1", line2=ODD, city="Köln", postal_code="50667", country="DE"),
]
LIVES: list[list[OrderEvent]] = [
    [],
    [OrderConfirmed()],
    [OrderConfirmed(), OrderShipped(carrier=ODD, tracking_number=None)],
    [OrderConfirmed(), OrderShipped(carrier="Yamato", tracking_number=ODD)],
    [OrderCancelled(reason=ODD)],
]


def order(address: Address | None) -> OrderPlaced:
    items = (
        OrderItem(product_name=ODD, quantity=3, unit_price=Decimal("0.10")),
        OrderItem(product_name="Tea", quantity=1, unit_price=Decimal("99999999.00")),
        OrderItem(product_name="Free", quantity=9999, unit_price=Decimal("0.00")),
    )
    return OrderPlaced(customer_name=ODD, items=items, total_amount=Decimal("99999999.30"), shipping_address=address)


@pytest.fixture
async def http(database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with query_service(database) as client:
        yield client


async def test_as_it_is_and_as_its_events_say(http: httpx.AsyncClient, store: PostgresEventStore) -> None:
    orders: dict[UUID, int] = {}
    for address, life, after in product(ADDRESSES, LIVES, TIMES):
        events, order_id = [order(address), *life], uuid4()
        orders[order_id] = len(events)
        for version, event in enumerate(events):
            await store.append([commit(order_id, version, event, at=START + after * (version + 1))])
    head = await store.head()
    listed = (await get(http, "/orders", head, limit=200)).json()["items"]
    assert len(listed) == len(orders)
    summaries = {one["order_id"]: one for one in listed}
    for order_id, version in orders.items():
        now = await get(http, f"/orders/{order_id}", head)
        then = await get(http, f"/orders/{order_id}", head, version=version)
        assert members(now.json()) == members(then.json())
        assert now.headers["ETag"] == then.headers["ETag"]
        summary = summaries[str(order_id)]
        assert members(summary) == members({name: now.json()[name] for name in summary})


def members(value: Any) -> Any:
    """Give objects as pairs, for their order is told too."""
    match value:
        case dict():
            return [(name, members(one)) for name, one in value.items()]
        case list():
            return [members(one) for one in value]
    return value
