"""Requests from pages of other origins (CORS): none, unless their origins are named."""

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from shared.web.correlation import HEADER as CORRELATION_HEADER

_SENT = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", CORRELATION_HEADER, "traceparent")
_SEEN = (
    "ETag",
    "Event-Position",
    "Location",
    "Idempotency-Replayed",
    "Retry-After",
    "WWW-Authenticate",
    CORRELATION_HEADER,
)
_REMEMBERED_SECONDS = 600


def cors(origins: Sequence[str]) -> Sequence[Middleware]:
    """Give the middleware that lets pages of these origins in; without any, none, and nothing is spent on it."""
    if not origins:
        return ()
    return (
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=_SENT,
            expose_headers=_SEEN,
            max_age=_REMEMBERED_SECONDS,
        ),
    )
