"""Query parameters that every route over the read model takes."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_POSITION = 2**63 - 1

_DIGITS = re.compile(r"-?[0-9]+", re.ASCII)


def _digits(text: object) -> object:
    if isinstance(text, str) and not _DIGITS.fullmatch(text):
        raise ValueError("must be a whole number, in digits")
    return text


IN_DIGITS = BeforeValidator(_digits)

Number = Annotated[int, IN_DIGITS]
"""A whole number in digits alone: no underscore, sign, point or space, which Python reads as well."""

PositionNumber = Annotated[int, Field(ge=0, le=MAX_POSITION), IN_DIGITS]
"""A position, or 0 before the first."""

MinPosition = Annotated[
    PositionNumber | None,
    Field(description="As the header `Event-Position`, where headers cannot be set.", examples=[3]),
]


class ReadParameters(BaseModel):
    """Base class of a route's query parameters; others than its fields are refused by name."""

    model_config = ConfigDict(extra="forbid")

    min_position: MinPosition = None
