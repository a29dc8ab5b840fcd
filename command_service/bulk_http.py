"""A bulk request and its answer: commands in, outcomes out, a line each (`application/x-ndjson`)."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException

from command_service.bulk import BulkRequests, Line, Result
from command_service.bulk_lines import CommandLine
from command_service.command_handler import Handled
from command_service.http import TRACEPARENT_PARAMETER, CommandOrigin, command_answer, outcome_of, refuse_headers
from shared.errors import Overloaded
from shared.web.headers import CORRELATION_PARAMETER
from shared.web.problem_answers import explain_error
from shared.web.problems import slug_of
from shared.web.strict_json import has_media_type, loads_object, read_body

MEDIA_TYPE: Final = "application/x-ndjson"
MAX_LINES: Final = 1000
_KIND: Final = "command"
"""The member of a line that tells which kind of line it is."""

BULK_REQUEST: Final = {
    "requestBody": {
        "required": True,
        "content": {
            MEDIA_TYPE: {"schema": {"type": "string", "pattern": r"\S", "description": "A JSON object on each line"}}
        },
    },
    "parameters": [CORRELATION_PARAMETER, TRACEPARENT_PARAMETER],
}
"""What the API document tells of a bulk request, beyond its examples."""

Members = Callable[[Handled[Any]], Mapping[str, str]]
"""Gives an aggregate's own members of an answer."""


class BulkAnswer(Response):
    """An answer with a line for each line of the request."""

    media_type = MEDIA_TYPE


async def handle_bulk(request: Request, aggregate_type: str, kinds: TypeAdapter[Any], members: Members) -> Response:
    """Carry out a bulk request of the route `…/batch`, whose lines are of these kinds, and answer it whole.

    Raises `RequestValidationError`, `HTTPException` and `Overloaded` for the request as such, before anything is done. From then on
    each line has its own outcome, and is carried out whether or not its client is still there.
    """
    refuse_headers(request, "Idempotency-Key", "If-Match")
    origin = CommandOrigin.of(request)
    if not has_media_type(request, MEDIA_TYPE):
        raise HTTPException(415, f"the body must be {MEDIA_TYPE}, in UTF-8")
    bulk: BulkRequests = request.app.state.bulk_requests
    # Read before its turn comes: who sends slowly keeps nobody else from theirs.
    texts = await _lines(request, bulk.deadline)
    async with bulk.turn(request.app.state.admission.waiting()):
        started = perf_counter()
        lines = _parse(texts, kinds, origin, request.url.path.removesuffix("/batch"))
        results = await bulk.carry_out(request.app.state.command_handlers[aggregate_type], lines)
    _tell(request, results, perf_counter() - started)
    return _answer(request, results, members)


def _tell(request: Request, results: Sequence[Result], seconds: float) -> None:
    state = request.app.state
    outcomes = Counter(
        slug_of(state.problems, one) if isinstance(one, Exception) else outcome_of(one[1]) for one in results
    )
    state.command_telemetry.answered_lines(outcomes, seconds)


async def _lines(request: Request, seconds: float) -> Sequence[bytes]:
    state = request.app.state
    try:
        async with asyncio.timeout(seconds):
            body = await read_body(request, state.max_bulk_bytes)
    except TimeoutError:
        raise Overloaded("The body did not come in time.") from None
    if not body.strip():
        raise RequestValidationError(
            [{"type": "empty", "loc": ("body",), "msg": "is empty: a command on each line is wanted"}]
        )
    lines = body.removesuffix(b"\n").split(b"\n", MAX_LINES)
    if len(lines) > MAX_LINES:
        raise HTTPException(413, f"the limit is {MAX_LINES} lines")
    if max(map(len, lines)) > state.max_body_bytes:
        raise HTTPException(413, f"the limit of a line is {state.max_body_bytes} bytes")
    return lines


def _parse(
    lines: Sequence[bytes], kinds: TypeAdapter[Any], origin: CommandOrigin, collection: str
) -> Iterator[Line | Exception]:
    for text in lines:
        try:
            members = loads_object(text)
            line: CommandLine = kinds.validate_python(members)
        except json.JSONDecodeError as error:
            yield _not_json(error.msg if text.strip() else "the line is empty")
        except ValidationError as error:
            yield _not_valid(error)
        else:
            key = line.idempotency_key(members, origin.actor or "", collection)
            yield Line(line.stream(), line, origin.context(key, line.expected_version), line.creates, line.success)


def _not_json(reason: str) -> RequestValidationError:
    return RequestValidationError([{"type": "json_invalid", "loc": ("body", 0), "msg": "", "ctx": {"error": reason}}])


def _not_valid(error: ValidationError) -> RequestValidationError:
    """Tell it as the command's own route does."""
    return RequestValidationError([_in_line(one) for one in error.errors(include_url=False)])


def _in_line(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """Tell where in the line it is, before which Pydantic puts the kind of line; if there is no such kind, it tells no place."""
    match error["type"]:
        case "union_tag_not_found":
            return {**error, "loc": ("body", _KIND), "msg": "Field required"}
        case "union_tag_invalid":
            return {**error, "loc": ("body", _KIND), "msg": f"must be one of {error['ctx']['expected_tags']}"}
    return {**error, "loc": ("body", *error["loc"][1:])}


def _answer(request: Request, results: Sequence[Result], members: Members) -> Response:
    """Write the answer; its `Event-Position` is the highest one of its lines."""
    position, content = 0, []
    told: set[type[Exception]] = set()
    for number, result in enumerate(results, 1):
        if isinstance(result, Exception):
            explanation = explain_error(request, result, is_logged=type(result) not in told)
            told.add(type(result))
            body = explanation.content(f"{request.url.path}#{number}")
            content.append(json.dumps({"status": explanation.problem.status, "body": body}))
        else:
            status, handled = result
            position = max(position, handled.position)
            answer = {"status": status, "body": command_answer(handled, members(handled))}
            content.append(json.dumps({**answer, "replayed": True} if handled.replayed else answer))
    headers = {"Event-Position": str(position)} if position else None
    return BulkAnswer("\n".join([*content, ""]), headers=headers)
