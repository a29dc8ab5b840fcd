"""Values as a client may send them: cleaned, bounded, or refused."""

import re
from decimal import Decimal
from functools import cache, partial
from typing import Annotated, Final

import pycountry
from pydantic import AfterValidator, BeforeValidator, Field, StrictInt

from shared.orders.values import CENT, MAX_AMOUNT, Money
from shared.text import PATTERN, clean_text

MAX_QUANTITY: Final = 1_000_000

_AMOUNT = re.compile(r"0\.(0[1-9]|[1-9][0-9]?)|[1-9][0-9]{0,7}(\.[0-9]{1,2})?")
"""From a cent on, without leading zeros."""


def parse_price(value: object) -> Decimal:
    """Read a price, exact to the cent, from a string or a number.

    Raises `ValueError`; the result has exactly two decimals.
    """
    price = None
    if isinstance(value, str):
        price = Decimal(value) if _AMOUNT.fullmatch(value) else None
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        price = Decimal(value)
    if price is not None and price.is_finite() and CENT <= price <= MAX_AMOUNT:
        rounded = price.quantize(CENT)
        if rounded == price:
            return rounded
    raise ValueError(f'must be an amount from "{CENT}" to "{MAX_AMOUNT}" with at most 2 decimals')


def whole_number(value: object) -> object:
    """Read 2.0 as 2, which is the same number in JSON; anything else is left to be refused, however large."""
    if isinstance(value, Decimal) and 0 <= value <= MAX_QUANTITY and value == value.to_integral_value():
        return int(value)
    return value


@cache
def country_codes() -> frozenset[str]:
    """Give the assigned country codes of ISO 3166-1 alpha-2."""
    return frozenset(country.alpha_2 for country in pycountry.countries)


def check_country(code: str) -> str:
    """Raise `ValueError` unless this is an assigned country code."""
    if code not in country_codes():
        raise ValueError("must be an ISO 3166-1 alpha-2 country code, such as JP")
    return code


ShortText = Annotated[
    str,
    AfterValidator(partial(clean_text, maximum=200)),
    Field(json_schema_extra={"minLength": 1, "maxLength": 200, "pattern": PATTERN}),
]
LongText = Annotated[
    str,
    AfterValidator(partial(clean_text, maximum=500)),
    Field(json_schema_extra={"minLength": 1, "maxLength": 500, "pattern": PATTERN}),
]
Quantity = Annotated[StrictInt, Field(ge=1, le=MAX_QUANTITY), BeforeValidator(whole_number)]
Price = Annotated[
    Money,
    BeforeValidator(
        parse_price,
        json_schema_input_type=Annotated[str, Field(pattern=f"^({_AMOUNT.pattern})$")]
        | Annotated[float, Field(ge=0.01, le=99_999_999.99, multiple_of=0.01)],
    ),
]
CountryCode = Annotated[str, AfterValidator(check_country), Field(json_schema_extra={"enum": sorted(country_codes())})]
