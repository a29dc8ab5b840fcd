"""The order's rules, as given / when / then; a refused command decides nothing (I6)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_service.orders.commands import CancelOrder, ConfirmOrder, Item, OrderCommand, PlaceOrder, ShipOrder
from command_service.orders.decider import DECIDER, OrderState
from command_service.orders.errors import InvalidTransition, OrderAlreadyExists, OrderNotFound
from shared.errors import DaichoError
from shared.orders.events import (
    Address,
    OrderCancelled,
    OrderConfirmed,
    OrderEvent,
    OrderItem,
    OrderPlaced,
    OrderShipped,
)
from shared.orders.values import OrderStatus
from tests.support.specs import DeciderSpec

order = DeciderSpec(DECIDER)

PLACE = PlaceOrder(customer_name="Aiko", items=(Item(product_name="Tea", quantity=3, unit_price=Decimal("2.50")),))
PLACED = OrderPlaced(
    customer_name="Aiko",
    items=(OrderItem(product_name="Tea", quantity=3, unit_price=Decimal("2.50")),),
    total_amount=Decimal("7.50"),
    shipping_address=None,
)
CONFIRMED = OrderConfirmed()
SHIPPED = OrderShipped(carrier="Yamato", tracking_number=None)
CANCELLED = OrderCancelled(reason="late")

SHIP = ShipOrder(carrier="Yamato")
CANCEL = CancelOrder(reason="late")

HISTORIES: dict[OrderStatus, tuple[OrderEvent, ...]] = {
    OrderStatus.PENDING: (PLACED,),
    OrderStatus.CONFIRMED: (PLACED, CONFIRMED),
    OrderStatus.SHIPPED: (PLACED, CONFIRMED, SHIPPED),
    OrderStatus.CANCELLED: (PLACED, CANCELLED),
}
ALLOWED: dict[OrderStatus, dict[OrderCommand, OrderEvent]] = {
    OrderStatus.PENDING: {ConfirmOrder(): CONFIRMED, CANCEL: CANCELLED},
    OrderStatus.CONFIRMED: {SHIP: SHIPPED, CANCEL: CANCELLED},
    OrderStatus.SHIPPED: {},
    OrderStatus.CANCELLED: {},
}


def test_place_gives_the_items_their_total_and_no_address() -> None:
    order.given().when(PLACE).then(PLACED)


def test_place_carries_the_address_over() -> None:
    where = {"recipient": "Aiko", "line1": "1-2-3 Ginza", "city": "Tokyo", "postal_code": "104-0061", "country": "JP"}
    command = PlaceOrder.model_validate({**PLACE.model_dump(), "shipping_address": where})
    order.given().when(command).then(PLACED.model_copy(update={"shipping_address": Address.model_validate(where)}))


@pytest.mark.parametrize("status", list(HISTORIES))
def test_place_refuses_an_order_that_exists(status: OrderStatus) -> None:
    order.given(*HISTORIES[status]).when(PLACE).then_raises(OrderAlreadyExists)


@pytest.mark.parametrize("command", [ConfirmOrder(), SHIP, CANCEL])
def test_every_other_command_refuses_an_order_that_does_not_exist(command: OrderCommand) -> None:
    order.given().when(command).then_raises(OrderNotFound)


@pytest.mark.parametrize("status", list(HISTORIES))
@pytest.mark.parametrize("command", [ConfirmOrder(), SHIP, CANCEL])
def test_a_command_is_allowed_from_its_statuses_only(status: OrderStatus, command: OrderCommand) -> None:
    spec = order.given(*HISTORIES[status]).when(command)
    if command in ALLOWED[status]:
        spec.then(ALLOWED[status][command])
    else:
        spec.then_raises(InvalidTransition, status=status)


@pytest.mark.parametrize("status", [None, *OrderStatus])
@pytest.mark.parametrize(
    ("event", "after"),
    [
        (PLACED, OrderStatus.PENDING),
        (CONFIRMED, OrderStatus.CONFIRMED),
        (SHIPPED, OrderStatus.SHIPPED),
        (CANCELLED, OrderStatus.CANCELLED),
    ],
)
def test_evolve_follows_any_event_from_any_state(
    status: OrderStatus | None, event: OrderEvent, after: OrderStatus
) -> None:
    assert DECIDER.evolve(OrderState(status), event) == OrderState(after)


@given(st.lists(st.sampled_from([PLACE, ConfirmOrder(), SHIP, CANCEL]), max_size=12))
def test_any_sequence_of_commands_gives_events_from_allowed_statuses_only(commands: list[OrderCommand]) -> None:
    allowed_from: dict[type[OrderEvent], set[OrderStatus | None]] = {
        OrderPlaced: {None},
        OrderConfirmed: {OrderStatus.PENDING},
        OrderShipped: {OrderStatus.CONFIRMED},
        OrderCancelled: {OrderStatus.PENDING, OrderStatus.CONFIRMED},
    }
    state = DECIDER.initial_state
    for command in commands:
        try:
            events = DECIDER.decide(command, state)
        except DaichoError:
            continue
        assert len(events) == 1
        for event in events:
            assert state.status in allowed_from[type(event)]
            state = DECIDER.evolve(state, event)
    assert (state.status is None) == (PLACE not in commands)
