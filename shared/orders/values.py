"""The values that orders are made of on both sides: status and money."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final

from pydantic import PlainSerializer

MAX_AMOUNT: Final = Decimal("99999999.99")
"""Largest subtotal and total: what numeric(10,2) holds."""

CENT: Final = Decimal("0.01")


class OrderStatus(StrEnum):
    """Where an order stands."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"


def format_money(amount: Decimal) -> str:
    """Write an amount as JSON holds it: a string with two decimals."""
    return f"{amount:.2f}"


Money = Annotated[Decimal, PlainSerializer(format_money, return_type=str)]
"""An amount: `Decimal` in code, a string with two decimals in JSON."""
