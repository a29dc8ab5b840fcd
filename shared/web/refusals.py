"""Answers that are written without an app."""

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, NamedTuple

from starlette.types import Scope

from shared.ids import new_id_text
from shared.web.correlation import correlation_id
from shared.web.problem_answers import MEDIA_TYPE, RETRY_AFTER
from shared.web.security_headers import RAW_HEADERS


class Refusal(NamedTuple):
    """Why a connection ends; a problem without a type of its own, for there is no request that it would be of."""

    status: HTTPStatus
    detail: str


MALFORMED: Final = Refusal(HTTPStatus.BAD_REQUEST, "What came is not HTTP, or no address that could be read.")
NOTHING_CAME: Final = Refusal(HTTPStatus.REQUEST_TIMEOUT, "The request did not come in time.")
TOO_LARGE: Final = Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The line and headers are too large together.")

Headers = Iterable[tuple[bytes, bytes]]

_LAST: Final = [(b"connection", b"close")]
_PROBLEM: Final = [(b"content-type", MEDIA_TYPE.encode()), *RAW_HEADERS]
_OVERLOADED: Final = [*_PROBLEM, (b"retry-after", RETRY_AFTER.encode())]


def overloaded(scope: Scope, problem: bytes, defaults: Headers, *, is_last: bool) -> bytes:
    """Write a 503 with a problem; `is_last` tells that the connection ends."""
    headers = [*defaults, *_OVERLOADED, *(_LAST if is_last else ())]
    content = b"" if scope["method"] == "HEAD" else problem
    return _write(HTTPStatus.SERVICE_UNAVAILABLE, headers, correlation_id(scope), len(problem), content)


def refused_connection(problem: bytes, defaults: Headers) -> bytes:
    """Write a 503 to a client of which nothing is known yet."""
    headers = [*defaults, *_OVERLOADED, *_LAST]
    return _write(HTTPStatus.SERVICE_UNAVAILABLE, headers, new_id_text(), len(problem), problem)


def unreadable(refusal: Refusal, defaults: Headers) -> bytes:
    """Write the last answer of a connection whose request did not come, or not so that it could be read."""
    status, detail = refusal
    members = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    problem = json.dumps(members).encode()
    return _write(status, [*defaults, *_PROBLEM, *_LAST], new_id_text(), len(problem), problem)


def _write(status: HTTPStatus, headers: Headers, correlation: str, length: int, content: bytes) -> bytes:
    own = [(b"x-correlation-id", correlation.encode()), (b"content-length", b"%d" % length)]
    lines = b"".join([b"%b: %b\r\n" % header for header in (*headers, *own)])
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, status.phrase.encode(), lines, content)
