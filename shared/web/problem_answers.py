"""Every error answer: `application/problem+json` (RFC 9457)."""

import json
import logging
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shared.errors import DaichoError
from shared.web.problems import INTERNAL_ERROR, SHARED_PROBLEMS, UNAVAILABLE, Explanation, Problem, Problems, explain

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "1"
"""Seconds, on every 503."""

_logger = logging.getLogger(__name__)


def problem_response(request: Request, explanation: Explanation, headers: Mapping[str, str] | None = None) -> Response:
    """Build the answer; a 503 tells when to try again, and a `position` is that of the read model asked."""
    content = explanation.content(quote(request.url.path))
    status = explanation.problem.status
    if (position := content.get("position")) is not None:
        headers = {**(headers or {}), "Event-Position": str(position)}
    response = Response(json.dumps(content), status, headers, media_type=MEDIA_TYPE)
    if status == UNAVAILABLE.status:
        response.headers["Retry-After"] = RETRY_AFTER
    return response


def install_problems(app: FastAPI, tables: Iterable[Problems]) -> Problems:
    """Make every error of the app a problem; `tables` map its error types, the nearest base class wins.

    Gives the one table that they make.
    """
    problems: dict[type[DaichoError], Problem] = {}
    for table in (SHARED_PROBLEMS, *tables):
        problems.update(table)

    app.state.problems = problems

    async def answer(request: Request, error: Exception) -> Response:
        return problem_response(request, explain_error(request, error), getattr(error, "headers", None))

    for handled in (DaichoError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(handled, answer)
    return problems


def explain_error(request: Request, error: Exception, *, is_logged: bool = True) -> Explanation:
    """Tell what a request is told of an error, and log what its operator should know of; what is unexpected in any case."""
    explanation = explain(request.app.state.problems, error)
    if explanation is None:
        _logger.error("unexpected error on %s %s", request.method, request.url.path, exc_info=error)
        return Explanation(INTERNAL_ERROR, "The error has been logged; the request may be tried again.", {})
    if is_logged and isinstance(error, DaichoError) and explanation.problem.status == UNAVAILABLE.status:
        _logger.warning("%s: %s", explanation.problem.slug, error, exc_info=error.__cause__)
    return explanation
