"""What a command's request and answer have in common, whatever the aggregate."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError

from command_service.command_handler import CommandContext, CommandHandler, Handled
from command_service.idempotency import IdempotencyKey, fingerprint
from command_service.telemetry import CommandTelemetry
from shared.errors import DaichoError
from shared.event_log.events import StreamId, Version
from shared.ids import new_id_text
from shared.web.correlation import HEADER as CORRELATION_HEADER
from shared.web.correlation import VISIBLE_ASCII
from shared.web.headers import CORRELATION_PARAMETER, parameter
from shared.web.json_route import StrictJsonRoute
from shared.web.problems import slug_of

_VERSION = re.compile(r'"([0-9]{1,9})"')
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

TRACEPARENT_PARAMETER = parameter(
    "traceparent",
    "W3C trace context, kept with the events; ignored if malformed.",
    {"type": "string"},
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)
_HEADERS = (
    parameter(
        "Idempotency-Key",
        "1–255 visible ASCII characters. The same key and request again gives the same answer and does nothing, for ever.",
        {"type": "string", "pattern": f"^{VISIBLE_ASCII.pattern}$"},
        "order-4711-place",
    ),
    parameter(
        "If-Match",
        'The version to act on, as an ETag: `"3"`. At another version, nothing is done.',
        {"type": "string", "pattern": f"^{_VERSION.pattern}$"},
        '"1"',
    ),
    CORRELATION_PARAMETER,
    TRACEPARENT_PARAMETER,
)


class CommandRoute(StrictJsonRoute):
    """A route that takes a command: its documentation names the headers that `command_context` reads.

    They are read by hand: FastAPI's header parameters cost a tenth of a command's time.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        extra = settings.pop("openapi_extra", None) or {"parameters": list(_HEADERS)}
        super().__init__(path, endpoint, **settings, openapi_extra=extra)


async def handle_command(request: Request, stream: StreamId, command: object, *, creates: bool = False) -> Handled[Any]:
    """Have a request's command handled by its aggregate's handler: see `CommandHandler.handle`.

    A call, not a FastAPI dependency: to resolve one costs a twentieth of a command's time.
    """
    state, name, started = request.app.state, type(command).__name__, perf_counter()
    handler: CommandHandler[Any, Any, Any] = state.command_handlers[stream.aggregate_type]
    telemetry: CommandTelemetry = state.command_telemetry
    try:
        handled = await handler.handle(stream, command, await command_context(request), creates=creates)
    except Exception as error:
        told = {"detail": str(error)} if isinstance(error, DaichoError) else {}
        telemetry.answered(name, stream, slug_of(state.problems, error), perf_counter() - started, told)
        raise
    outcome, reached = outcome_of(handled), {"version": handled.version, "position": handled.position}
    telemetry.answered(name, handled.stream, outcome, perf_counter() - started, reached)
    return handled


def outcome_of(handled: Handled[Any]) -> str:
    """Name what became of a command that was not refused."""
    return "replayed" if handled.replayed else "done"


@dataclass(frozen=True, slots=True)
class CommandOrigin:
    """What a request tells of where its commands come from; each has so many `seconds` from when its context is built."""

    correlation_id: str
    actor: str | None
    traceparent: str | None
    seconds: float

    @classmethod
    def of(cls, request: Request) -> "CommandOrigin":
        """Read it. Raises `RequestValidationError` for a header that is not valid."""
        _header(request, CORRELATION_HEADER, VISIBLE_ASCII)
        trace = request.headers.get("traceparent")
        return cls(
            request.state.correlation_id,
            _actor(request),
            # The request's own span, if there is one: it is in the trace of the client's.
            request.app.state.tracing.traceparent() or (trace if trace and _TRACEPARENT.fullmatch(trace) else None),
            request.app.state.command_deadline,
        )

    def context(self, key: IdempotencyKey | None, expected_version: int | None) -> CommandContext:
        """Build the context of one command that comes from there."""
        version = None if expected_version is None else Version(expected_version)
        deadline = asyncio.get_running_loop().time() + self.seconds
        return CommandContext(new_id_text(), self.correlation_id, self.actor, self.traceparent, key, version, deadline)


async def command_context(request: Request) -> CommandContext:
    """Build a command's context from its request.

    Raises `RequestValidationError` for a header that is not valid.
    """
    key = _header(request, "Idempotency-Key", VISIBLE_ASCII)
    version = _header(request, "If-Match", _VERSION)
    origin = CommandOrigin.of(request)
    return origin.context(
        IdempotencyKey(origin.actor or "", key, await _fingerprint(request)) if key else None,
        int(version[1:-1]) if version else None,
    )


def refuse_headers(request: Request, *names: str) -> None:
    """Raise `RequestValidationError` if the request has one of these, which mean one command."""
    if given := [name for name in names if name in request.headers]:
        message = "is a matter of each line here"
        raise RequestValidationError(
            [{"type": "header", "loc": ("header", name.lower()), "msg": message, "input": None} for name in given]
        )


def command_answer(handled: Handled[Any], members: Mapping[str, str]) -> dict[str, Any]:
    """Give the body of a command's answer: the aggregate's own members, its version and position."""
    return {**members, "version": handled.version, "position": handled.position}


def command_response(
    handled: Handled[Any], members: Mapping[str, str], status: int = 200, location: str | None = None
) -> Response:
    """Answer a command, with the headers that its version and position have."""
    content = json.dumps(command_answer(handled, members))
    headers = {"ETag": f'"{handled.version}"', "Event-Position": str(handled.position)}
    if location is not None:
        headers["Location"] = location
    if handled.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(content, status, headers, media_type="application/json")


def _actor(request: Request) -> str | None:
    """Name the caller, where an authentication middleware (Starlette's `BaseUser`) has found out who it is."""
    user = request.scope.get("user")
    return user.identity if user is not None and user.is_authenticated else None


def _header(request: Request, name: str, pattern: re.Pattern[str]) -> str | None:
    values = request.headers.getlist(name)
    if not values:
        return None
    if len(values) == 1 and pattern.fullmatch(values[0]):
        return values[0]
    form = "1–255 visible ASCII characters" if pattern is VISIBLE_ASCII else 'a version in double quotes, such as "3"'
    message = f"must be given once, as {form}"
    raise RequestValidationError([{"type": "header", "loc": ("header", name.lower()), "msg": message, "input": None}])


async def _fingerprint(request: Request) -> str:
    body = await request.json() if await request.body() else {}
    return fingerprint(request.method, request.scope["path"], body)
