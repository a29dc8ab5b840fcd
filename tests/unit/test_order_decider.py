"""The order's rules, as given / when / then; a refused command decides nothing (I6)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_service.orders.commands import CancelOrder, ConfirmOrder, Item, OrderCommand, PlaceOrder, ShipOrder
from command_service.orders.decider import DECIDER
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
    order.given(*HISTORIES[status]).when(PLACE).then_refused(OrderAlreadyExists)


@pytest.mark.parametrize("command", [ConfirmOrder(), SHIP, CANCEL])
def test_every_other_command_refuses_an_order_that_does_not_exist(command: OrderCommand) -> None:
    order.given().when(command).then_refused(OrderNotFound)


@pytest.mark.parametrize("status", list(HISTORIES))
@pytest.mark.parametrize("command", [ConfirmOrder(), SHIP, CANCEL])
def test_a_command_is_allowed_from_its_statuses_only(status: OrderStatus, command: OrderCommand) -> None:
    spec = order.given(*HISTORIES[status]).when(command)
    if command in ALLOWED[status]:
        spec.then(ALLOWED[status][command])
    else:
        spec.then_refused(InvalidTransition, status=status)


@given(st.lists(st.sampled_from([PLACE, ConfirmOrder(), SHIP, CANCEL]), max_size=12))
def test_any_sequence_of_commands_leads_to_a_story_that_makes_sense(commands: list[OrderCommand]) -> None:
    story: list[OrderEvent] = []
    state = DECIDER.initial_state
    for command in commands:
        try:
            events = DECIDER.decide(command, state)
        except DaichoError:
            continue
        for event in events:
            story.append(event)
            state = DECIDER.evolve(state, event)
    names = [event.event_type for event in story]
    assert not names or names[0] == "OrderPlaced"
    assert len(set(names)) == len(names)
    assert not {"OrderShipped", "OrderCancelled"} <= set(names)
    assert "OrderShipped" not in names or "OrderConfirmed" in names
