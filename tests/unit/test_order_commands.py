"""What a command accepts: text is cleaned, money exact, everything bounded (I10)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from command_service.orders.commands import CancelOrder, Command, ConfirmOrder, Item, PlaceOrder, ShipOrder
from command_service.orders.values import country_codes, parse_price
from shared.orders.values import MAX_AMOUNT
from shared.text import clean_text

ITEM: dict[str, Any] = {"product_name": "Tea", "quantity": 1, "unit_price": "1.00"}
ADDRESS: dict[str, Any] = {
    "recipient": "Aiko",
    "line1": "1-2-3 Ginza",
    "city": "Tokyo",
    "postal_code": "104-0061",
    "country": "JP",
}


def an_item(**changes: object) -> Item:
    return Item.model_validate({**ITEM, **changes})


def an_order(**changes: object) -> PlaceOrder:
    return PlaceOrder.model_validate({"customer_name": "Aiko", "items": [ITEM], **changes})


def an_address(name: str, text: object) -> object:
    address = an_order(shipping_address={**ADDRESS, name: text}).shipping_address
    return getattr(address, name)


TEXTS: dict[str, tuple[Callable[[object], object], int]] = {
    "customer_name": (lambda text: an_order(customer_name=text).customer_name, 200),
    "product_name": (lambda text: an_item(product_name=text).product_name, 200),
    "recipient": (lambda text: an_address("recipient", text), 200),
    "line1": (lambda text: an_address("line1", text), 200),
    "line2": (lambda text: an_address("line2", text), 200),
    "city": (lambda text: an_address("city", text), 200),
    "postal_code": (lambda text: an_address("postal_code", text), 200),
    "carrier": (lambda text: ShipOrder.model_validate({"carrier": text}).carrier, 200),
    "tracking_number": (lambda text: ShipOrder.model_validate({"tracking_number": text}).tracking_number, 200),
    "reason": (lambda text: CancelOrder.model_validate({"reason": text}).reason, 500),
}
"""How to read a text through its command, and the most characters that it may have."""


def test_text_is_normalised_and_trimmed() -> None:
    decomposed = "e\N{COMBINING ACUTE ACCENT}"
    assert clean_text(f" \N{NO-BREAK SPACE}{decomposed}\N{IDEOGRAPHIC SPACE}\n", maximum=1) == "é"
    assert clean_text("  plain  ", maximum=5) == "plain"


@pytest.mark.parametrize("bad", ["", "   ", "x" * 11, "a\0", "a\x1fb", "a\x7fb", "a\x85b", "a\ud800"])
def test_text_refuses(bad: str) -> None:
    with pytest.raises(ValueError, match="must"):
        clean_text(bad, maximum=10)


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_of_a_command_is_cleaned_and_then_held_against_its_limit(name: str) -> None:
    read, maximum = TEXTS[name]
    decomposed = "e\N{COMBINING ACUTE ACCENT}" * maximum
    assert read(f" {decomposed}\t") == "é" * maximum
    with pytest.raises(ValidationError, match=f"1 to {maximum} characters"):
        read("é" * (maximum + 1))


@pytest.mark.parametrize("bad", ["", " \N{NO-BREAK SPACE}\n", "a\0b", "a\x1fb", "a\x85b", "a\ud800", 1, True, ["a"]])
@pytest.mark.parametrize("name", TEXTS)
def test_every_text_of_a_command_refuses(name: str, bad: object) -> None:
    read, _ = TEXTS[name]
    with pytest.raises(ValidationError):
        read(bad)


@given(st.text(max_size=50))
def test_clean_text_is_clean_or_refused(text: str) -> None:
    try:
        cleaned = clean_text(text, maximum=20)
    except ValueError:
        return
    assert cleaned == clean_text(cleaned, maximum=20)
    assert 1 <= len(cleaned) <= 20


@pytest.mark.parametrize(
    ("given_price", "price"),
    [
        ("0.01", "0.01"),
        ("5", "5.00"),
        ("5.5", "5.50"),
        (5, "5.00"),
        (Decimal("5.50"), "5.50"),
        (Decimal("1e2"), "100.00"),
        (Decimal("5.500"), "5.50"),
        ("99999999.99", "99999999.99"),
        (99_999_999, "99999999.00"),
        (Decimal("99999999.99"), "99999999.99"),
    ],
)
def test_a_price_is_exact_to_the_cent(given_price: object, price: str) -> None:
    assert str(parse_price(given_price)) == price


@pytest.mark.parametrize(
    "bad",
    [
        "",
        " 5",
        "1_0",
        "1e2",
        "+1",
        "-1",
        ".5",
        "5.",
        "1.001",
        "NaN",
        "Infinity",
        "１.00",
        "1,00",
        "1.00\n",
        "0x1",
        b"1.00",
        "0",
        "0.00",
        "100000000",
        0,
        -1,
        10**8,
        True,
        1.5,
        None,
        [],
        Decimal("0.001"),
        Decimal("0.011"),
        Decimal(100_000_000),
        Decimal("1e-999999"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("1e999999"),
    ],
)
def test_a_price_refuses(bad: object) -> None:
    with pytest.raises(ValueError, match="must be an amount"):
        parse_price(bad)
    with pytest.raises(ValidationError):
        an_item(unit_price=bad)


@given(st.decimals(min_value="0.01", max_value=MAX_AMOUNT, places=2))
def test_every_amount_of_cents_is_a_price(amount: Decimal) -> None:
    assert parse_price(str(amount)) == parse_price(amount) == amount


@pytest.mark.parametrize("quantity", [1, 1_000_000])
def test_a_quantity_is_a_whole_number_from_1_to_a_million(quantity: int) -> None:
    assert an_item(quantity=quantity, unit_price="0.01").quantity == quantity


@pytest.mark.parametrize(
    "bad", [0, -1, 1_000_001, 10**40, True, False, 1.0, 1.5, float("nan"), Decimal("1.5"), "1", "", None, [1]]
)
def test_a_quantity_refuses(bad: object) -> None:
    with pytest.raises(ValidationError):
        an_item(quantity=bad, unit_price="0.01")


def test_a_subtotal_at_its_limit_is_accepted_and_a_cent_past_it_refused() -> None:
    assert an_item(quantity=9, unit_price="11111111.11").subtotal == MAX_AMOUNT
    with pytest.raises(ValidationError, match=f"quantity × unit_price must be at most {MAX_AMOUNT}"):
        an_item(quantity=2, unit_price="50000000.00")


def test_a_total_at_its_limit_is_accepted_and_a_cent_past_it_refused() -> None:
    largest = {**ITEM, "unit_price": "99999999.98"}
    assert an_order(items=[largest, {**ITEM, "unit_price": "0.01"}]).total_amount == MAX_AMOUNT
    with pytest.raises(ValidationError, match=f"the sum of quantity × unit_price must be at most {MAX_AMOUNT}"):
        an_order(items=[largest, {**ITEM, "unit_price": "0.02"}])


@pytest.mark.parametrize("count", [1, 500])
def test_an_order_has_up_to_500_items(count: int) -> None:
    assert an_order(items=[ITEM] * count).total_amount == Decimal(f"{count}.00")


@pytest.mark.parametrize("bad", [[], [ITEM] * 501, None, {}, ITEM, "Tea", [None], [[]]])
def test_an_orders_items_refuse(bad: object) -> None:
    with pytest.raises(ValidationError):
        an_order(items=bad)


PLACE: dict[str, Any] = {"customer_name": "Aiko", "items": [ITEM], "shipping_address": ADDRESS}


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        (PlaceOrder, {**PLACE, "unknown": 1}),
        (PlaceOrder, {**PLACE, "total_amount": "1.00"}),
        (PlaceOrder, {**PLACE, "items": [{**ITEM, "subtotal": "1.00"}]}),
        (PlaceOrder, {**PLACE, "shipping_address": {**ADDRESS, "line3": "x"}}),
        (ConfirmOrder, {"unknown": None}),
        (ShipOrder, {"reason": "late"}),
        (CancelOrder, {"reason": "late", "carrier": "Yamato"}),
    ],
)
def test_unknown_fields_are_refused_at_any_depth(command: type[Command], fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        command.model_validate(fields)


@pytest.mark.parametrize(
    ("command", "fields", "required"),
    [
        (PlaceOrder, PLACE, {"customer_name", "items"}),
        (Item, ITEM, {"product_name", "quantity", "unit_price"}),
        (CancelOrder, {"reason": "late"}, {"reason"}),
    ],
)
def test_what_is_required_is_asked_for(command: type[Command], fields: dict[str, Any], required: set[str]) -> None:
    for name in required:
        with pytest.raises(ValidationError, match=f"{name}\n  Field required"):
            command.model_validate({other: value for other, value in fields.items() if other != name})


def test_of_an_address_only_its_second_line_may_be_missing() -> None:
    assert an_address("line2", None) is None
    for name in ADDRESS:
        with pytest.raises(ValidationError, match=f"{name}\n  Field required"):
            an_order(shipping_address={other: value for other, value in ADDRESS.items() if other != name})


def test_an_order_may_bring_its_own_id() -> None:
    assert an_order().order_id is None
    assert an_order(order_id=str(UUID(int=7))).order_id == UUID(int=7)
    for bad in ("7", "", 7, True):
        with pytest.raises(ValidationError):
            an_order(order_id=bad)


def test_country_codes_are_those_of_iso_3166() -> None:
    assert len(country_codes()) == 249
    assert {"JP", "DE", "GB"} <= country_codes()
    assert not {"XX", "UK", "EU"} & country_codes()


@pytest.mark.parametrize("bad", ["XX", "UK", "jp", "JPN", "J", "", " JP", "ＪＰ", "J\0", "\ud800", None, 1])
def test_an_unknown_country_is_refused(bad: object) -> None:
    with pytest.raises(ValidationError):
        an_address("country", bad)


def test_shipping_details_are_optional() -> None:
    assert ShipOrder.model_validate({}) == ShipOrder(carrier=None, tracking_number=None)
