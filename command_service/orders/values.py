"""Values as a client may send them: cleaned, bounded, or refused."""

import re
from decimal import Decimal
from functools import cache, partial
from typing import Annotated

import pycountry
from pydantic import AfterValidator, BeforeValidator, Field

from shared.orders.values import CENT, MAX_AMOUNT, Money
from shared.text import clean_text

_AMOUNT = re.compile(r"[0-9]{1,8}(\.[0-9]{1,2})?")


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
    Field(json_schema_extra={"minLength": 1, "maxLength": 200}),
]
LongText = Annotated[
    str,
    AfterValidator(partial(clean_text, maximum=500)),
    Field(json_schema_extra={"minLength": 1, "maxLength": 500}),
]
Price = Annotated[
    Money,
    BeforeValidator(parse_price, json_schema_input_type=Annotated[str, Field(pattern=f"^{_AMOUNT.pattern}$")] | float),
]
CountryCode = Annotated[str, AfterValidator(check_country), Field(json_schema_extra={"pattern": "^[A-Z]{2}$"})]
