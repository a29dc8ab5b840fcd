"""Answers that are written without an app."""

from collections.abc import Iterable
from typing import Final

from starlette.types import Scope

from shared.web.correlation import correlation_id
from shared.web.problem_answers import MEDIA_TYPE, RETRY_AFTER
from shared.web.security_headers import RAW_HEADERS

TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
NOTHING_CAME: Final = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

Headers = Iterable[tuple[bytes, bytes]]

_LAST: Final = [(b"connection", b"close")]
_OVERLOADED: Final = [
    (b"content-type", MEDIA_TYPE.encode()),
    (b"retry-after", RETRY_AFTER.encode()),
    *RAW_HEADERS,
]


def overloaded(scope: Scope, problem: bytes, defaults: Headers, *, is_last: bool) -> bytes:
    """Write a 503 with a problem; `is_last` tells that the connection ends."""
    headers = [
        *defaults,
        *_OVERLOADED,
        (b"x-correlation-id", correlation_id(scope).encode()),
        (b"content-length", b"%d" % len(problem)),
        *(_LAST if is_last else ()),
    ]
    return _write(headers, b"" if scope["method"] == "HEAD" else problem)


def refused_connection(problem: bytes, defaults: Headers) -> bytes:
    """Write a 503 to a client of which nothing is known yet."""
    return _write([*defaults, *_OVERLOADED, (b"content-length", b"%d" % len(problem)), *_LAST], problem)


def _write(headers: Headers, content: bytes) -> bytes:
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    return b"HTTP/1.1 503 Service Unavailable\r\n%b\r\n%b" % (lines, content)
