"""Query parameters that every route over the read model takes."""

import re
from collections import Counter
from typing import Annotated
from urllib.parse import unquote_to_bytes

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_POSITION = 2**63 - 1

_DIGITS = re.compile(r"-?[0-9]+", re.ASCII)
_LISTS = frozenset({"status", "event_type"})
_ONCE = ("event-position", "last-event-id")


def _digits(text: object) -> object:
    if isinstance(text, str) and not _DIGITS.fullmatch(text):
        raise ValueError("must be a whole number, in digits")
    return text


Number = Annotated[int, BeforeValidator(_digits)]
"""A whole number in digits alone: no underscore, sign, point or space, which Python reads as well."""


class ReadParameters(BaseModel):
    """Base class of a route's query parameters; others than its fields are refused by name."""

    model_config = ConfigDict(extra="forbid")

    min_position: Number | None = Field(
        default=None, ge=0, le=MAX_POSITION, description="As the header `Event-Position`, where headers cannot be set."
    )


async def given_once(request: Request) -> None:
    """Refuse a parameter that is no list, or a position, given more than once: all but one would be ignored.

    And a query that is not UTF-8, of which something else would be read. Raises `RequestValidationError`.
    """
    given = Counter(name for name, _ in request.query_params.multi_items())
    wrong = [("query", name) for name, times in given.items() if times > 1 and name not in _LISTS]
    wrong += [("header", name) for name in _ONCE if len(request.headers.getlist(name)) > 1]
    if wrong:
        raise invalid(*wrong, because="must be given once")
    try:
        unquote_to_bytes(request.scope["query_string"]).decode()
    except UnicodeDecodeError:
        raise invalid(("query",), because="must be UTF-8") from None


def invalid(*where: tuple[str, ...], because: str) -> RequestValidationError:
    """Make the error of parameters that are wrong in a way that their types do not tell."""
    return RequestValidationError([{"type": "value_error", "loc": loc, "msg": because} for loc in where])
