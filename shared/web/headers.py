"""The headers of requests and answers, as the API documents describe them."""

from collections.abc import Mapping
from typing import Any, Final

from shared.web.correlation import HEADER as CORRELATION
from shared.web.correlation import VISIBLE_ASCII

_CORRELATION_ID = {"type": "string", "pattern": f"^{VISIBLE_ASCII.pattern}$"}
_POSITION = {"type": "integer", "minimum": 0}


def parameter(name: str, description: str, schema: Mapping[str, Any], example: object) -> dict[str, Any]:
    """Describe a header of a request, which may be absent; so its example is not one that `/docs` fills in."""
    return {"name": name, "in": "header", "description": description, "schema": {**schema, "examples": [example]}}


CORRELATION_PARAMETER: Final = parameter(
    CORRELATION,
    "Ties requests, and the events that they lead to, to a larger story: 1–255 visible ASCII characters. Made if absent.",
    _CORRELATION_ID,
    "checkout-7f3a",
)
CORRELATION_WISH: Final = parameter(
    CORRELATION,
    "Ties requests to a larger story: 1–255 visible ASCII characters. One is made if it is absent, or anything else.",
    {"type": "string"},
    "checkout-7f3a",
)
"""Of requests that lead to no events: a bad one is replaced, not refused."""
IF_NONE_MATCH: Final = parameter(
    "If-None-Match",
    "ETags of answers that the client has; if one of them still holds, the answer is 304.",
    {"type": "string"},
    '"3"',
)

SPELLINGS: Final = {"last-event-id": "Last-Event-ID"}
"""The headers that FastAPI reads, and so names in its own spelling."""


def _header(description: str, schema: Mapping[str, Any], example: object) -> dict[str, Any]:
    return {"description": description, "schema": schema, "example": example}


ANSWER_HEADERS: Final = {
    CORRELATION: _header("The request's own, or the one made for it", _CORRELATION_ID, "checkout-7f3a"),
    "Cache-Control": _header("Whether an answer may be kept, and has to be asked for again", {"type": "string"}, "private, no-cache"),
    "ETag": _header(
        "For `If-None-Match`; of an order, its version, as `If-Match` takes it",
        {"type": "string", "pattern": '^(W/)?".*"$'},
        '"3"',
    ),
    "Event-Position": _header(
        "The position in the log that the answer reflects; of a command, that of its event. Passed on to the query "
        "service in a request, it makes sure that the answer is not older",
        _POSITION,
        3,
    ),
    "Idempotency-Replayed": _header(
        "There if the request had been made before with this `Idempotency-Key`, and nothing was done now",
        {"type": "string", "const": "true"},
        "true",
    ),
    "Location": _header("Where the query service has what was made", {"type": "string", "format": "uri-reference"}, "/orders/0199b7a4-7c00-7000-8000-000000000001"),
    "Retry-After": _header("Seconds after which to try again", {"type": "integer", "minimum": 0}, 1),
    "WWW-Authenticate": _header("What access token it takes, and what is wrong with the one given (RFC 6750)", {"type": "string"}, 'Bearer realm="daicho"'),
    "X-Accel-Buffering": _header("Tells a proxy to pass on what comes as it comes", {"type": "string"}, "no"),
}  # fmt: skip
"""The headers of answers that are not HTTP's everyday ones."""
