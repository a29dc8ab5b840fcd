"""What a command accepts: text is cleaned, money exact, everything bounded."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from command_service.orders.commands import CancelOrder, Item, PlaceOrder, ShipOrder
from command_service.orders.values import country_codes, parse_price
from shared.orders.values import MAX_AMOUNT
from shared.text import clean_text

ITEM: dict[str, Any] = {"product_name": "Tea", "quantity": 1, "unit_price": "1.00"}


def test_text_is_normalised_and_trimmed() -> None:
    decomposed = "e\N{COMBINING ACUTE ACCENT}"
    assert clean_text(f" \N{NO-BREAK SPACE}{decomposed}\N{IDEOGRAPHIC SPACE}\n", maximum=1) == "é"
    assert clean_text("  plain  ", maximum=5) == "plain"


@pytest.mark.parametrize("bad", ["", "   ", "x" * 11, "a\0", "a\x1fb", "a\x7fb", "a\x85b", "a\ud800"])
def test_text_refuses(bad: str) -> None:
    with pytest.raises(ValueError, match="must"):
        clean_text(bad, maximum=10)


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
        Decimal("NaN"),
        Decimal("Infinity"),
        Decimal("1e999999"),
    ],
)
def test_a_price_refuses(bad: object) -> None:
    with pytest.raises(ValueError, match="must be an amount"):
        parse_price(bad)


@given(st.decimals(min_value="0.01", max_value=MAX_AMOUNT, places=2))
def test_every_amount_of_cents_is_a_price(amount: Decimal) -> None:
    assert parse_price(str(amount)) == parse_price(amount) == amount


def test_an_order_at_its_limits_is_accepted() -> None:
    order = PlaceOrder.model_validate({"customer_name": "x" * 200, "items": [ITEM] * 500})
    assert order.total_amount == Decimal("500.00")
    assert Item.model_validate({**ITEM, "quantity": 1_000_000, "unit_price": "99.99"}).subtotal == Decimal(
        "99990000.00"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"items": [{**ITEM, "quantity": 1_000_000, "unit_price": "100.00"}]},
        {"items": [{**ITEM, "unit_price": "99999999.99"}, ITEM]},
        {"items": []},
        {"items": [ITEM] * 501},
        {"unknown": 1},
        {"customer_name": 1},
        {"items": [{**ITEM, "quantity": True}]},
        {"items": [{**ITEM, "quantity": 1.0}]},
        {"items": [{**ITEM, "quantity": Decimal(1)}]},
    ],
)
def test_an_order_past_its_limits_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PlaceOrder.model_validate({"customer_name": "Aiko", "items": [ITEM], **changes})


def test_country_codes_are_those_of_iso_3166() -> None:
    assert len(country_codes()) == 249
    assert {"JP", "DE", "GB"} <= country_codes()
    assert not {"XX", "UK", "EU"} & country_codes()


def test_shipping_details_are_optional_and_a_reason_is_not() -> None:
    assert ShipOrder().carrier is None
    with pytest.raises(ValidationError):
        CancelOrder.model_validate({})
