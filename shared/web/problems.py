"""Every error answer: `application/problem+json` (RFC 9457), from one table of error types."""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shared.errors import (
    DaichoError,
    DatabaseUnavailable,
    EventSchemaError,
    Overloaded,
)

_logger = logging.getLogger(__name__)

_MAX_ERRORS = 100
"""Most errors told of one request, which may have as many as its body has room for."""

_RETRY_AFTER = "1"
"""Seconds, on every 503."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of error answer: its slug (`urn:daicho:problem:SLUG`), status and title."""

    slug: str
    status: int
    title: str


VALIDATION_FAILED = Problem("validation-failed", 422, "The request is not valid")
INTERNAL_ERROR = Problem("internal-error", 500, "Something went wrong on our side")
UNAVAILABLE = Problem("unavailable", 503, "The service cannot answer right now")

Problems = Mapping[type[DaichoError], Problem]

SHARED_PROBLEMS: Problems = {
    DatabaseUnavailable: UNAVAILABLE,
    EventSchemaError: UNAVAILABLE,
    Overloaded: Problem("overloaded", 503, "Too many requests at once"),
}

NOT_FOUND = Problem("not-found", 404, "There is nothing at this path")

_HTTP_PROBLEMS = {
    400: VALIDATION_FAILED,
    401: Problem("unauthorized", 401, "Credentials are missing or not valid"),
    403: Problem("forbidden", 403, "The credentials do not allow this"),
    404: NOT_FOUND,
    405: Problem("method-not-allowed", 405, "This path does not take this method"),
    413: Problem("body-too-large", 413, "The body is too large"),
    415: Problem("unsupported-media-type", 415, "The body's media type is not taken"),
}


def problem_response(
    request: Request,
    problem: Problem,
    detail: str,
    members: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build the answer; a 503 tells when to try again, and a `position` is that of the read model asked."""
    content = {
        "type": f"urn:daicho:problem:{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "instance": quote(request.url.path),
        **(members or {}),
    }
    if (position := content.get("position")) is not None:
        headers = {**(headers or {}), "Event-Position": str(position)}
    response = Response(json.dumps(content), problem.status, headers, media_type="application/problem+json")
    if problem.status == UNAVAILABLE.status:
        response.headers["Retry-After"] = _RETRY_AFTER
    return response


def install_problems(app: FastAPI, tables: Iterable[Problems]) -> None:
    """Make every error of the app a problem; `tables` map its error types, the nearest base class wins."""
    problems: dict[type[DaichoError], Problem] = {}
    for table in (SHARED_PROBLEMS, *tables):
        problems.update(table)

    async def daicho_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, DaichoError)
        problem = find_problem(problems, type(error))
        if problem is None:
            return _internal_error(request, error)
        if problem.status == UNAVAILABLE.status:
            _logger.warning("%s: %s", problem.slug, error, exc_info=error.__cause__)
        return problem_response(request, problem, str(error), error.members())

    app.add_exception_handler(DaichoError, daicho_error)
    app.add_exception_handler(RequestValidationError, _validation_failed)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(Exception, _unexpected)


def find_problem(problems: Problems, error: type[DaichoError]) -> Problem | None:
    """Give the problem of an error type or of its nearest base class that has one."""
    for base in error.__mro__:
        if base in problems:
            return problems[base]
    return None


async def _validation_failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [one for one in error.errors() if not _is_echo(one)]
    errors = [{"pointer": _pointer(one), "message": _message(one)} for one in found[:_MAX_ERRORS]]
    return problem_response(request, VALIDATION_FAILED, "The request is not valid.", {"errors": errors})


def _is_echo(error: Mapping[str, Any]) -> bool:
    """Tell whether a list is called too short only because its items are not valid, which other errors tell."""
    return error["type"] == "too_short" and bool(len(error["input"]) >= error["ctx"]["min_length"])


def _pointer(error: Mapping[str, Any]) -> str:
    """Give a JSON pointer (RFC 6901) into the body, or the name of a parameter."""
    where, *path = error["loc"]
    if where != "body":
        return ".".join(str(part) for part in path)
    if error["type"] == "json_invalid":
        return ""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return f"not valid JSON: {error['ctx']['error']}"
    return str(error["msg"]).removeprefix("Value error, ")


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = _HTTP_PROBLEMS.get(error.status_code)
    if problem is None:
        return _internal_error(request, error)
    detail = f"{error.detail}." if error.detail else problem.title
    return problem_response(request, problem, detail, headers=error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    return _internal_error(request, error)


def _internal_error(request: Request, error: Exception) -> Response:
    _logger.error("unexpected error on %s %s", request.method, request.url.path, exc_info=error)
    return problem_response(request, INTERNAL_ERROR, "The error has been logged; the request may be tried again.")
