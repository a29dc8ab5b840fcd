"""The correlation id: taken from the request or made, echoed on every answer."""

import re

from starlette.types import Scope

from shared.ids import new_id_text

HEADER = "X-Correlation-ID"
VISIBLE_ASCII = re.compile(r"[\x21-\x7e]{1,255}")

RAW_HEADER = HEADER.lower().encode()


def correlation_id(scope: Scope) -> str:
    """Give the id that a request brings, or a new one; one that is not 1–255 visible ASCII characters is not echoed."""
    for name, value in scope["headers"]:
        if name == RAW_HEADER:
            text: str = value.decode("latin-1")
            return text if VISIBLE_ASCII.fullmatch(text) else new_id_text()
    return new_id_text()
