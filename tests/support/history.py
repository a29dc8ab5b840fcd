"""A shop's orders over some weeks, in the log, as the command service would have written them: for what is looked at."""

import json
import random
from collections.abc import Iterator
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

_FIRST = ["Aiko", "Ben", "Chloé", "Dmitri", "Élodie", "Fatima", "Goran", "Hana", "Ingrid", "João", "Kenji", "Łukasz",
          "Mary", "Noor", "Priya", "Renée", "Søren", "Uma", "Wei", "Zoë"]  # fmt: skip
_LAST = ["Tanaka", "Smith", "Müller", "García", "Novák", "Okafor", "Singh", "Ivanov", "O’Brien", "Åberg", "Jones", "Li"]
_PRODUCTS = [("Sencha, 100 g", "12.50"), ("Gyokuro, 50 g", "24.00"), ("Cast-iron teapot", "68.00"), ("Matcha whisk", "17.90"),
             ("Hojicha, 200 g", "14.20"), ("Tea bowl", "39.00"), ("Genmaicha, 100 g", "9.80"), ("Tea caddy", "22.40")]  # fmt: skip
_REASONS = ["Ordered twice by mistake", "The customer changed their mind", "Out of stock"]
_BATCH = 500


def orders(count: int, days: int = 60, seed: int = 0) -> Iterator[tuple[datetime, StreamId, int, OrderEvent]]:
    """Give the events of so many orders of the last days, each with its stream and version, in order of time."""
    randomness = random.Random(seed)
    now = datetime.now(UTC)
    events = []
    for _ in range(count):
        age = timedelta(days=days * randomness.random() ** 1.3)
        order_id = UUID(int=randomness.getrandbits(128), version=4)
        for version, (after, event) in enumerate(_life(randomness)):
            if (at := now - age + after) < now:
                events.append((at, StreamId("order", order_id), version, event))
    return iter(sorted(events, key=lambda one: one[0]))


def _life(randomness: random.Random) -> Iterator[tuple[timedelta, OrderEvent]]:
    customer = f"{randomness.choice(_FIRST)} {randomness.choice(_LAST)}"
    chosen = randomness.sample(_PRODUCTS, randomness.choice([1, 1, 2, 2, 3, 4]))
    items = tuple(
        OrderItem(product_name=name, quantity=randomness.randint(1, 4), unit_price=Decimal(price))
        for name, price in chosen
    )
    address = Address(recipient=customer, line1="1-2-3 Ginza", city="Tokyo", postal_code="104-0061", country="JP")
    total = sum((item.quantity * item.unit_price for item in items), Decimal(0))
    yield timedelta(), OrderPlaced(customer_name=customer, items=items, total_amount=total, shipping_address=address)
    fate = randomness.random()
    hours = timedelta(hours=1 + 20 * randomness.random())
    if fate < 0.06:
        yield hours, OrderCancelled(reason=randomness.choice(_REASONS))
        return
    yield hours, OrderConfirmed()
    tracking = f"{randomness.randint(1000, 9999)}-{randomness.randint(1000, 9999)}"
    yield hours * 2, OrderShipped(carrier=randomness.choice(["Yamato", "DHL", "Sagawa"]), tracking_number=tracking)


async def append_history(store: PostgresEventStore, count: int, days: int = 60) -> int:
    """Append them; give the number of events."""
    appended, batch, streams = 0, list[Commit](), set[StreamId]()
    for at, stream, version, event in orders(count, days):
        if stream in streams or len(batch) == _BATCH:
            appended += len(await store.append(batch))
            batch, streams = [], set()
        batch.append(Commit(stream, Version(version), (_new(event, at),)))
        streams.add(stream)
    return appended + len(await store.append(batch))


def _new(event: OrderEvent, at: datetime) -> NewEvent:
    return NewEvent(
        event_id=EventId(uuid4()),
        event_type=event.event_type,
        schema_version=event.schema_version,
        data=event.model_dump_json(),
        metadata=json.dumps({"correlation_id": "history"}),
        occurred_at=at,
    )
