"""Read your own writes: a request names a position, and is answered at or past it."""

import re
from typing import Annotated

from fastapi import Header, Query, Request
from pydantic import BaseModel, Field, WithJsonSchema

from query_service.parameters import MinPosition, PositionNumber
from query_service.reading import ReadModel
from shared.event_log.events import Position

DEFAULT_WAIT = 2.0
MAX_WAIT = 30.0

_WAIT = re.compile(r'\s*wait\s*=\s*("?)([0-9]{1,9})\1\s*(;.*)?', re.IGNORECASE | re.ASCII)


class PositionHeaders(BaseModel):
    """Request headers that every route over the read model takes."""

    event_position: PositionNumber | None = Field(
        default=None,
        description="The `Event-Position` of a command's answer: this answer reflects the log up to there, or further.",
        examples=[3],
    )
    prefer: Annotated[list[str] | None, WithJsonSchema({"type": "string", "examples": ["wait=5"]})] = Field(
        default=None, description="`wait=S`: seconds to wait for the position (2, at most 30)."
    )


async def read_model(
    request: Request,
    headers: Annotated[PositionHeaders, Header()],
    min_position: Annotated[MinPosition, Query()] = None,
) -> ReadModel:
    """Give the read model, at the request's position or past it.

    It waits when it is read, not here: a request that is not valid is refused without waiting.
    """
    wanted = Position(max(headers.event_position or 0, min_position or 0))
    state = request.app.state
    seconds = _wait_seconds(headers.prefer)
    engines = (state.read_engine, state.search_engine)
    return ReadModel(state.grouped_reads, *engines, state.projected, request.scope, wanted, seconds)


def _wait_seconds(prefer: list[str] | None) -> float:
    """Give the wait of a Prefer header (RFC 7240), which is a wish: what cannot be read is ignored."""
    for preference in ",".join(prefer or ()).split(","):
        if match := _WAIT.fullmatch(preference):
            return min(float(match[2]), MAX_WAIT)
    return DEFAULT_WAIT
