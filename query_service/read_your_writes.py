"""Read your own writes: a request names a position, and is answered at or past it."""

import re
from typing import Annotated, cast

from fastapi import Header, Query, Request
from pydantic import BaseModel, Field

from query_service.parameters import MAX_POSITION
from query_service.projected_position import ProjectedPosition
from shared.event_log.events import Position

DEFAULT_WAIT = 2.0
MAX_WAIT = 30.0

_WAIT = re.compile(r"wait=([0-9]{1,9})", re.IGNORECASE)


class PositionHeaders(BaseModel):
    """Request headers that every route over the read model takes."""

    event_position: int | None = Field(
        default=None, ge=0, le=MAX_POSITION, description="The `Event-Position` of a command's answer."
    )
    prefer: str | None = Field(default=None, description="`wait=S`: seconds to wait for the position (2, at most 30).")


async def read_your_writes(
    request: Request,
    headers: Annotated[PositionHeaders, Header()],
    min_position: Annotated[int | None, Query(ge=0, le=MAX_POSITION)] = None,
) -> None:
    """Wait until the read model is at the request's position.

    Raises `ReadModelBehind` when it is not in time, `Overloaded` when too many wait.
    """
    wanted = max(headers.event_position or 0, min_position or 0)
    if wanted:
        projected = cast("ProjectedPosition", request.app.state.projected)
        await projected.wait_for(Position(wanted), _wait_seconds(headers.prefer))


def _wait_seconds(prefer: str | None) -> float:
    """Give the wait of a Prefer header (RFC 7240), which is a wish: what cannot be read is ignored."""
    for preference in (prefer or "").split(","):
        if match := _WAIT.fullmatch(preference.strip()):
            return min(float(match[1]), MAX_WAIT)
    return DEFAULT_WAIT
