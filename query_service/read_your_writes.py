"""Read your own writes: a request names a position, and is answered at or past it."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from query_service.parameters import MAX_POSITION, PositionNumber
from query_service.reading import ReadModel
from query_service.settings import MAX_WAIT
from query_service.strict_query import given_once
from shared.event_log.events import Position
from shared.web.headers import parameter
from shared.web.plain_route import PlainRoute

DEFAULT_WAIT = 2.0

_WAIT = re.compile(r'\s*wait\s*=\s*("?)([0-9]{1,9})\1\s*(;.*)?', re.IGNORECASE | re.ASCII)


_POSITION = TypeAdapter(PositionNumber)

READ_HEADERS = [
    parameter(
        "Event-Position",
        "The `Event-Position` of a command's answer: this answer reflects the log up to there, or further.",
        {"type": "integer", "minimum": 0, "maximum": MAX_POSITION},
        3,
    ),
    parameter("Prefer", "`wait=S`: seconds to wait for the position (2, at most 30).", {"type": "string"}, "wait=5"),
]
"""What `read_model` reads, for the documentation of its routes."""


class ReadRoute(PlainRoute):
    """A route over the read model: its documentation names the headers that `read_model` reads.

    They are read by hand: FastAPI's header parameters cost a quarter of a read's time.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **{**settings, "openapi_extra": {"parameters": READ_HEADERS}})

    async def read(self, request: Request, values: dict[str, Any], errors: list[Any]) -> None:
        """Read the endpoint's arguments; what is given more than once is refused before."""
        await given_once(request)
        await super().read(request, values, errors)


async def read_model(request: Request) -> ReadModel:
    """Give the read model, at the position that the request's header or query wants, or past it.

    It waits when it is read, not here: a request that is not valid is refused without waiting. A call where the route is a
    `ReadRoute`, elsewhere FastAPI's dependency. Raises `RequestValidationError`.
    """
    header, query = request.headers.get("event-position"), request.query_params.get("min_position")
    wanted = max(_position(header, ("header", "event-position")), _position(query, ("query", "min_position")))
    state = request.app.state
    seconds = wait_seconds(request.headers.getlist("prefer"))
    engines = (state.read_engine, state.search_engine)
    return ReadModel(state.grouped_reads, *engines, state.projected, request.scope, Position(wanted), seconds)


def _position(text: str | None, where: tuple[str, str]) -> int:
    if text is None:
        return 0
    try:
        return _POSITION.validate_python(text)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": where} for one in error.errors()]) from error


def wait_seconds(prefer: Iterable[str]) -> float:
    """Give the wait of a Prefer header (RFC 7240), which is a wish: what cannot be read is ignored."""
    for preference in ",".join(prefer).split(","):
        if match := _WAIT.fullmatch(preference):
            return min(float(match[2]), MAX_WAIT)
    return DEFAULT_WAIT
