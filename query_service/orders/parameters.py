"""What can be asked of the order read models."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, WithJsonSchema, model_validator

from query_service.parameters import IN_DIGITS, Number, ReadParameters
from shared.orders.examples import CURSOR
from shared.orders.values import OrderStatus
from shared.text import PATTERN, clean_text

MOST_DAYS = 3660
_USUAL_DAYS = 30

_DAY_START = "2026-01-01T00:00:00Z"

Sort = Literal["-placed_at", "placed_at", "-total_amount", "total_amount"]

_AMOUNT = re.compile(r"[0-9]{1,18}(\.[0-9]{1,2})?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _date_first(text: object) -> object:
    if isinstance(text, str) and not _DATE.match(text):
        raise ValueError("must start with a date, as in 2026-01-31T12:00:00Z")
    return text


def _day(text: object) -> object:
    if isinstance(text, str) and not _DATE.fullmatch(text):
        raise ValueError("must be a date, as in 2026-01-31")
    return text


def _plain(text: object) -> object:
    if isinstance(text, str) and not _AMOUNT.fullmatch(text):
        raise ValueError("must be a number, as in 12.50")
    return text


def _utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("must be between the years 1 and 9999 in UTC") from error


def _each_once(statuses: list[OrderStatus]) -> list[OrderStatus]:
    return sorted(set(statuses))


Name = Annotated[
    str,
    AfterValidator(partial(clean_text, maximum=200)),
    Field(json_schema_extra={"minLength": 1, "maxLength": 200, "pattern": PATTERN}),
]
Timestamp = Annotated[AwareDatetime, BeforeValidator(_date_first), AfterValidator(_utc)]
"""A time with its zone; a bare number, which could be a year as well as seconds since 1970, is none."""

Amount = Annotated[
    Decimal,
    Field(ge=0, max_digits=20, decimal_places=2),
    BeforeValidator(_plain),
    WithJsonSchema({"type": "string", "pattern": f"^{_AMOUNT.pattern}$"}),
]
VersionNumber = Annotated[int, Field(ge=1, le=2**31 - 1), IN_DIGITS]
"""A version of an order."""

Day = Annotated[date, BeforeValidator(_day)]
"""A date alone; a number, or a time in some zone, is none."""


class OrderFilters(ReadParameters):
    """Filters, sort and page of `GET /orders`; bounds are inclusive, but for `placed_to`."""

    status: Annotated[list[OrderStatus], AfterValidator(_each_once)] = Field(
        default=[], max_length=20, description="One of these; may be repeated", examples=[["pending", "confirmed"]]
    )
    customer_name: Name | None = Field(default=None, description="Exactly this", examples=["Aiko Tanaka"])
    q: Name | None = Field(default=None, description="Customer names that start with this", examples=["Aiko"])
    placed_from: Timestamp | None = Field(default=None, description="Placed then or later", examples=[_DAY_START])
    placed_to: Timestamp | None = Field(
        default=None, description="Placed before then", examples=["2026-02-01T00:00:00Z"]
    )
    min_total: Amount | None = Field(default=None, description="Of this total or more", examples=["10.00"])
    max_total: Amount | None = Field(default=None, description="Of this total or less", examples=["100.00"])
    sort: Sort = Field(default="-placed_at", description="`-`: latest, or largest, first", examples=["-placed_at"])
    limit: Number = Field(default=50, ge=1, le=200, description="Most orders in the page", examples=[50])
    cursor: str | None = Field(
        default=None,
        max_length=500,
        description="`next_cursor` of the page before; the filters and the sort stay as they were",
        examples=[CURSOR],
    )


class InvalidDays(ValueError):
    """The days from one to another are none, or too many; `name` is the parameter that is to blame."""

    def __init__(self, name: str, because: str) -> None:
        super().__init__(because)
        self.name = name


class DailyParameters(ReadParameters):
    """The days of `GET /statistics/daily`, in UTC, both included; the last thirty, unless told otherwise."""

    from_: Day | None = Field(default=None, alias="from", description="The first day", examples=["2026-01-01"])
    to: Day | None = Field(default=None, description="The last day; today, if absent", examples=["2026-01-31"])

    def days(self, today: date) -> tuple[date, date]:
        """Give the first and the last day.

        Raises `InvalidDays`.
        """
        last = self.to or max(today, self.from_ or today)
        first = self.from_ or date.fromordinal(max(1, last.toordinal() - _USUAL_DAYS + 1))
        if last < first:
            raise InvalidDays("to", "must not be before from")
        if (last - first).days >= MOST_DAYS:
            raise InvalidDays("from", f"must be less than {MOST_DAYS} days before to, or today")
        return first, last


class OrderParameters(ReadParameters):
    """At which time of its life an order is wanted: now, or as it was."""

    version: VersionNumber | None = Field(default=None, description="As it was at this version", examples=[2])
    as_of: Timestamp | None = Field(default=None, description="As it was at this time", examples=[_DAY_START])

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.version is not None and self.as_of is not None:
            raise ValueError("give version or as_of, not both")
        return self
