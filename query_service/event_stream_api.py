"""`GET /events/stream`: the log as Server-Sent Events, from any position on."""

import asyncio
import time
from collections.abc import AsyncIterator
from math import inf
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from query_service.event_stream import EventStream
from query_service.event_stream_response import EventStreamResponse
from query_service.event_streams import EventStreams
from query_service.events_api import FilterParameters
from query_service.parameters import PositionNumber
from query_service.strict_query import given_once
from shared.event_log.events import Position
from shared.identity.verifier import Caller

router = APIRouter(tags=["events"], dependencies=[Depends(given_once)])

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/event-stream": {
                # Of each message, as OpenAPI 3.1 has it of streams.
                "schema": {
                    "type": "object",
                    "description": "A message of the Server-Sent Events. One without `data` tells how far the log was searched.",
                    "properties": {
                        "id": {"type": "string", "description": "The event's position"},
                        "event": {"type": "string", "description": "The event's type"},
                        "data": {
                            "type": "string",
                            "description": "The event as JSON",
                            "contentMediaType": "application/json",
                            "contentSchema": {"$ref": "#/components/schemas/EventForm"},
                        },
                    },
                },
            }
        }
    }
}


class StreamParameters(FilterParameters):
    """Filters and start of `GET /events/stream`."""

    after: PositionNumber | None = Field(
        default=None, description="Events past this position; without it, those to come", examples=[0]
    )


LastEventId = Annotated[
    PositionNumber | None,
    Header(description="Where a client that reconnects goes on; goes before `after`", examples=[3]),
]


def _streams(request: Request) -> EventStreams:
    return cast("EventStreams", request.app.state.event_streams)


async def followed(
    parameters: Annotated[StreamParameters, Query()], request: Request, last_event_id: LastEventId = None
) -> AsyncIterator[EventStream]:
    """Give the client's stream; it counts as one until its response has ended."""
    after = parameters.after if last_event_id is None else last_event_id
    position = None if after is None else Position(after)
    ends_at = _token_ends_at(request)
    async with _streams(request).stream(position, parameters.filters(), parameters.schema_, ends_at) as stream:
        yield stream


def _token_ends_at(request: Request) -> float:
    """Give when the caller's token expires, by the event loop's clock; without one, never."""
    caller: Caller | None = request.scope.get("user")
    return inf if caller is None else asyncio.get_running_loop().time() + caller.expires - time.time()


@router.get(
    "/events/stream",
    response_class=StreamingResponse,
    responses=_RESPONSES,
    operation_id="streamEvents",
    summary="The event log, as it grows",
)
async def stream_events(stream: Annotated[EventStream, Depends(followed)], request: Request) -> EventStreamResponse:
    """Send each event past a position as a Server-Sent Event: `id` is its position, `data` what `GET /events` gives.

    After some seconds of silence there is a comment, and an id alone: how far the log has been searched. A client that
    is cut off, as one that is too slow is, or whose token has expired, goes on where it was by sending the last id as `Last-Event-ID`.
    """
    return EventStreamResponse(stream, _streams(request).limits.stall)
