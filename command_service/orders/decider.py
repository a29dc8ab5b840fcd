"""The order's rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from command_service.decider import Decider
from command_service.orders.commands import CancelOrder, ConfirmOrder, OrderCommand, PlaceOrder, ShipOrder
from command_service.orders.errors import InvalidTransition, OrderAlreadyExists, OrderNotFound
from shared.orders.events import (
    OrderCancelled,
    OrderConfirmed,
    OrderEvent,
    OrderPlaced,
    OrderShipped,
)
from shared.orders.values import OrderStatus


@dataclass(frozen=True, slots=True)
class OrderState:
    """What the rules need to know of an order; without a status it does not exist."""

    status: OrderStatus | None = None


def decide(command: OrderCommand, state: OrderState) -> Sequence[OrderEvent]:
    """Give the event that the command leads to.

    Raises `OrderNotFound`, `OrderAlreadyExists` or `InvalidTransition`.
    """
    match command:
        case PlaceOrder():
            if state.status is not None:
                raise OrderAlreadyExists
            return (_placed(command),)
        case ConfirmOrder():
            _require(state, "confirmed", OrderStatus.PENDING)
            return (OrderConfirmed(),)
        case ShipOrder():
            _require(state, "shipped", OrderStatus.CONFIRMED)
            return (OrderShipped(carrier=command.carrier, tracking_number=command.tracking_number),)
        case CancelOrder():
            _require(state, "cancelled", OrderStatus.PENDING, OrderStatus.CONFIRMED)
            return (OrderCancelled(reason=command.reason),)
        case _:
            assert_never(command)


def evolve(_: OrderState, event: OrderEvent) -> OrderState:
    """Give the state after the event."""
    match event:
        case OrderPlaced():
            return OrderState(OrderStatus.PENDING)
        case OrderConfirmed():
            return OrderState(OrderStatus.CONFIRMED)
        case OrderShipped():
            return OrderState(OrderStatus.SHIPPED)
        case OrderCancelled():
            return OrderState(OrderStatus.CANCELLED)
        case _:
            assert_never(event)


DECIDER: Decider[OrderCommand, OrderState, OrderEvent] = Decider(OrderState(), decide, evolve)


def _require(state: OrderState, done: str, *allowed: OrderStatus) -> None:
    if state.status is None:
        raise OrderNotFound
    if state.status not in allowed:
        raise InvalidTransition(done, state.status)


def _placed(command: PlaceOrder) -> OrderPlaced:
    """Take the event's fields, nested ones included, from the command's of the same names."""
    address = command.shipping_address
    return OrderPlaced.model_validate(
        {
            "customer_name": command.customer_name,
            "items": [vars(item) for item in command.items],
            "total_amount": command.total_amount,
            "shipping_address": address and vars(address),
        }
    )
