"""The lives of orders: what customers and the shop do, when, and what they get wrong. Pure: the same seed, the same stories."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from itertools import accumulate

from command_service.orders.commands import CancelOrder, ConfirmOrder, Item, OrderCommand, PlaceOrder, ShipOrder
from daicho.demo.catalogue import CUSTOMERS, PRODUCTS, Customer, customer, fill

_DEMAND = tuple(accumulate(product.demand for product in PRODUCTS))
_LINES = (45, 27, 14, 8, 4, 2)
"""Of a hundred orders, how many have 1, 2, 3 … lines."""
_COLLECTED = 0.08
"""Share of orders without an address: they are collected in the shop."""
_CANCELLED_PENDING, _CANCELLED_CONFIRMED = 0.05, 0.03
_REASONS_PENDING = (
    "The customer changed their mind",
    "Ordered twice by mistake",
    "Payment did not arrive within seven days",
    "The customer found the delivery too slow",
    "The card was declined",
)
_REASONS_CONFIRMED = (
    "Out of stock, the next delivery is in three weeks",
    "Damaged in the warehouse, no replacement left",
    "The address cannot be delivered to",
    "The customer called: no longer needed",
)
_MOMENT = timedelta(minutes=20)
"""Until a mistake is made good."""


class Mistake(StrEnum):
    """What a step gets wrong, so that it changes nothing."""

    TWICE = "the same request again, with its key"
    WRONG_QUANTITY = "a quantity of nothing"
    TOO_EARLY = "shipped before it is confirmed"
    STALE = "decided on a version that is no longer"


_SHARES = {Mistake.TWICE: 0.02, Mistake.WRONG_QUANTITY: 0.02, Mistake.TOO_EARLY: 0.015, Mistake.STALE: 0.015}
"""Of the orders that come so far, how many meet with which mistake."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request, so long after the one before, as it takes in life."""

    after: timedelta
    command: OrderCommand
    mistake: Mistake | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """One order's life; without its mistakes, each step is allowed where it comes."""

    name: str
    steps: tuple[Step, ...]

    def without_mistakes(self) -> Iterator[Step]:
        """Give the steps that change something, each after all the time since the one before."""
        waited = timedelta(0)
        for step in self.steps:
            waited += step.after
            if step.mistake is None:
                yield step if waited == step.after else replace(step, after=waited)
                waited = timedelta(0)


def story(seed: int, number: int) -> Story:
    """Give story `number` of a seed."""
    name = f"demo-{seed}-{number}"
    return Story(name, tuple(_steps(random.Random(name))))


def _steps(randomness: random.Random) -> Iterator[Step]:
    buyer = customer(int(CUSTOMERS * randomness.random() ** 1.5))
    order = _order(buyer, randomness)
    place = Step(timedelta(0), order)
    if _happens(Mistake.WRONG_QUANTITY, randomness):
        yield Step(timedelta(0), order, Mistake.WRONG_QUANTITY)
        place = Step(_MOMENT, order)
    yield place
    if _happens(Mistake.TWICE, randomness):
        yield Step(timedelta(0), order, Mistake.TWICE)
    fate = randomness.random()
    if fate < _CANCELLED_PENDING:
        yield Step(_some(randomness, hours=5), CancelOrder(reason=randomness.choice(_REASONS_PENDING)))
        return
    shipping = _shipping(buyer, order, randomness)
    if _happens(Mistake.TOO_EARLY, randomness):
        yield Step(_MOMENT, shipping, Mistake.TOO_EARLY)
    yield Step(_some(randomness, hours=3), ConfirmOrder())
    if fate < _CANCELLED_PENDING + _CANCELLED_CONFIRMED:
        yield Step(_some(randomness, hours=10), CancelOrder(reason=randomness.choice(_REASONS_CONFIRMED)))
        return
    ship = Step(_some(randomness, hours=22), shipping)
    if _happens(Mistake.STALE, randomness):
        yield Step(ship.after, shipping, Mistake.STALE)
        ship = Step(_MOMENT, shipping)
    yield ship


def _happens(mistake: Mistake, randomness: random.Random) -> bool:
    return randomness.random() < _SHARES[mistake]


def _order(buyer: Customer, randomness: random.Random) -> PlaceOrder:
    lines = 1 + randomness.choices(range(len(_LINES)), _LINES)[0]
    products = dict.fromkeys(randomness.choices(PRODUCTS, cum_weights=_DEMAND, k=lines))
    items = [
        Item(
            product_name=product.name,
            quantity=1 + int(product.most * randomness.random() ** 3),
            unit_price=product.price,
        )
        for product in products
    ]
    address = None if randomness.random() < _COLLECTED else buyer.address
    return PlaceOrder(customer_name=buyer.name, items=tuple(items), shipping_address=address)


def _shipping(buyer: Customer, order: PlaceOrder, randomness: random.Random) -> ShipOrder:
    if order.shipping_address is None:
        return ShipOrder()
    country = buyer.country
    return ShipOrder(carrier=randomness.choice(country.carriers), tracking_number=fill(country.tracking, randomness))


def _some(randomness: random.Random, *, hours: float) -> timedelta:
    """Give a time around so many hours, at least half of them."""
    return timedelta(hours=hours * (0.5 + randomness.gammavariate(2, 0.4)))
