"""What a command's request and answer have in common, whatever the aggregate."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, cast

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel, Field

from command_service.command_handler import CommandContext, CommandHandler, Handled
from command_service.idempotency import IdempotencyKey
from shared.event_log.events import Version
from shared.ids import new_id
from shared.web.strict_json import loads_object

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_VISIBLE_ASCII = r"^[\x21-\x7e]{1,255}$"


class CommandHeaders(BaseModel):
    """Request headers that every command takes."""

    idempotency_key: str | None = Field(
        default=None,
        pattern=_VISIBLE_ASCII,
        description="1–255 visible ASCII characters. The same key with the same request again gives the same "
        "answer and does nothing, for ever; with another request it is refused.",
    )
    if_match: str | None = Field(
        default=None, pattern=r'^"[0-9]{1,9}"$', description='The version to act on, as an ETag: `"3"`.'
    )
    x_correlation_id: str | None = Field(
        default=None, pattern=_VISIBLE_ASCII, description="Ties events to a larger story; made if absent, echoed."
    )
    traceparent: str | None = Field(default=None, description="W3C trace context, kept with the events.")


async def command_context(request: Request, headers: Annotated[CommandHeaders, Header()]) -> CommandContext:
    """Build a command's context from its request; a malformed `traceparent` is ignored, as W3C asks."""
    key, trace = headers.idempotency_key, headers.traceparent
    return CommandContext(
        command_id=str(new_id()),
        correlation_id=request.state.correlation_id,
        traceparent=trace if trace and _TRACEPARENT.fullmatch(trace) else None,
        idempotency_key=IdempotencyKey("", key, await _fingerprint(request)) if key else None,
        expected_version=Version(int(headers.if_match[1:-1])) if headers.if_match else None,
    )


Context = Annotated[CommandContext, Depends(command_context)]


def handler_of(aggregate_type: str) -> Callable[[Request], Awaitable[CommandHandler[Any, Any, Any]]]:
    """Make the dependency that gives an aggregate's command handler."""

    async def handler(request: Request) -> CommandHandler[Any, Any, Any]:
        return cast("CommandHandler[Any, Any, Any]", request.app.state.command_handlers[aggregate_type])

    return handler


def command_response(
    handled: Handled[Any], members: Mapping[str, str], status: int = 200, location: str | None = None
) -> Response:
    """Answer a command with the aggregate's own members, its version and position, and the headers of those."""
    content = json.dumps({**members, "version": handled.version, "position": handled.position})
    headers = {"ETag": f'"{handled.version}"', "Event-Position": str(handled.position)}
    if location is not None:
        headers["Location"] = location
    if handled.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(content, status, headers, media_type="application/json")


async def _fingerprint(request: Request) -> str:
    """Identify the request by its method, path and JSON, whatever the JSON's spacing and order of keys."""
    body = await request.body()
    content = json.dumps(loads_object(body), sort_keys=True, default=str) if body else "{}"
    return hashlib.sha256(f"{request.method} {request.url.path}\n{content}".encode()).hexdigest()
