"""Orders appended straight to the log, as the command service would write them."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from shared.orders.events import (
    Address,
    OrderCancelled,
    OrderConfirmed,
    OrderEvent,
    OrderItem,
    OrderPlaced,
    OrderShipped,
)

START = datetime(2026, 3, 1, tzinfo=UTC)


def placed(customer: str = "Aiko", price: str = "10.00", quantity: int = 1) -> OrderPlaced:
    item = OrderItem(product_name="Tea", quantity=quantity, unit_price=Decimal(price))
    address = Address(recipient=customer, line1="1-2-3 Ginza", city="Tokyo", postal_code="104-0061", country="JP")
    return OrderPlaced(
        customer_name=customer,
        items=(item,),
        total_amount=item.unit_price * quantity,
        shipping_address=address if quantity % 2 else None,
    )


def lifecycle(randomness: random.Random) -> Sequence[OrderEvent]:
    """Give an order's events up to some point of its life."""
    order = placed(
        randomness.choice(["Aiko", "Ben", "Chloé"]),
        f"{randomness.randint(1, 99999) / 100:.2f}",
        randomness.randint(1, 9),
    )
    shipped = OrderShipped(carrier="Yamato", tracking_number=None)
    return randomness.choice(
        [
            (order,),
            (order, OrderConfirmed()),
            (order, OrderConfirmed(), shipped),
            (order, OrderCancelled(reason="late")),
            (order, OrderConfirmed(), OrderCancelled(reason="broken")),
        ]
    )


def new_event(event: OrderEvent, at: datetime) -> NewEvent:
    return NewEvent(
        event_id=EventId(uuid4()),
        event_type=event.event_type,
        schema_version=event.schema_version,
        data=event.model_dump_json(),
        metadata=json.dumps({"correlation_id": "test"}),
        occurred_at=at,
    )


def commit(order_id: UUID, expected: int, *events: OrderEvent, at: datetime = START) -> Commit:
    return Commit(StreamId("order", order_id), Version(expected), tuple(new_event(event, at) for event in events))


async def append_orders(store: PostgresEventStore, count: int, seed: int = 0) -> int:
    """Append the events of many orders, interleaved; give the number of events."""
    randomness = random.Random(seed)
    waiting = [(uuid4(), 0, list(lifecycle(randomness))) for _ in range(count)]
    appended = 0
    while waiting:
        randomness.shuffle(waiting)
        at = START + timedelta(seconds=appended)
        await store.append([commit(order_id, version, events[0], at=at) for order_id, version, events in waiting[:200]])
        appended += len(waiting[:200])
        waiting = [
            (order_id, version + 1, events[1:]) for order_id, version, events in waiting[:200] if events[1:]
        ] + waiting[200:]
    return appended
