"""What a request is told of an error: a problem (RFC 9457), from one table of error types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shared.errors import (
    DaichoError,
    DatabaseUnavailable,
    EventSchemaError,
    OutcomeUnknown,
    Overloaded,
)
from shared.identity.errors import (
    CrossOrigin,
    ForeignHost,
    InsufficientScope,
    InvalidToken,
    KeysUnavailable,
    MissingToken,
    OffLoopback,
)
from shared.web.readiness import NotReady

_MAX_ERRORS = 100
"""Most errors told of one request, which may have as many as its body has room for."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of error answer: its slug (`urn:daicho:problem:SLUG`), status and title.

    `members` has the JSON Schema of each member that it may have besides those of RFC 9457.
    """

    slug: str
    status: int
    title: str
    members: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)

    @property
    def type(self) -> str:
        """Its URN."""
        return f"urn:daicho:problem:{self.slug}"


class Explanation(NamedTuple):
    """What a request is told of an error."""

    problem: Problem
    detail: str
    members: Mapping[str, object]

    def content(self, instance: str) -> dict[str, object]:
        """Give the members of the answer to a request at this path."""
        problem = self.problem
        return {
            "type": problem.type,
            "title": problem.title,
            "status": problem.status,
            "detail": self.detail,
            "instance": instance,
            **self.members,
        }


VALIDATION_FAILED = Problem(
    "validation-failed",
    422,
    "The request is not valid",
    {
        "errors": {
            "type": "array",
            "maxItems": _MAX_ERRORS,
            "description": "What is wrong, and where; of very many errors the first ones",
            "items": {
                "type": "object",
                "required": ["pointer", "message"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "JSON pointer (RFC 6901) into the body, or the name of a parameter or header",
                    },
                    "message": {"type": "string", "description": "What is wrong there, in words"},
                },
            },
        }
    },
)
INTERNAL_ERROR = Problem("internal-error", 500, "Something went wrong on our side")
UNAVAILABLE = Problem(
    "unavailable",
    503,
    "The service cannot answer right now",
    {
        "checks": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Of `/health/ready`: `ok`, or what is wrong, by the name of the check",
        },
        "progress": {
            "type": "object",
            "additionalProperties": {"type": "object"},
            "description": "Of `/health/ready`: how far what follows the log is, by its name",
        },
    },
)

READ_POSITION: Mapping[str, Any] = {
    "type": "integer",
    "minimum": 0,
    "description": "The position that the read model is at, as far as was asked",
}
"""The schema of the member `position`, where a read model was asked."""

Problems = Mapping[type[DaichoError], Problem]

UNAUTHORIZED = Problem("unauthorized", 401, "Credentials are missing or not valid")
FORBIDDEN = Problem("forbidden", 403, "This is not allowed")

SHARED_PROBLEMS: Problems = {
    CrossOrigin: FORBIDDEN,
    DatabaseUnavailable: UNAVAILABLE,
    EventSchemaError: UNAVAILABLE,
    ForeignHost: FORBIDDEN,
    InsufficientScope: FORBIDDEN,
    InvalidToken: UNAUTHORIZED,
    KeysUnavailable: UNAVAILABLE,
    MissingToken: UNAUTHORIZED,
    NotReady: UNAVAILABLE,
    OffLoopback: FORBIDDEN,
    OutcomeUnknown: Problem("outcome-unknown", 503, "It is not known whether the command took effect"),
    Overloaded: Problem("overloaded", 503, "Too many requests at once"),
}

NOT_FOUND = Problem("not-found", 404, "There is nothing at this path")
METHOD_NOT_ALLOWED = Problem("method-not-allowed", 405, "This path does not take this method")

EVERYWHERE = (NOT_FOUND, METHOD_NOT_ALLOWED, INTERNAL_ERROR)
"""What requests can be told that no operation has to do with, or that is a defect of ours."""

HTTP_PROBLEMS = {
    400: VALIDATION_FAILED,
    401: UNAUTHORIZED,
    403: FORBIDDEN,
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    413: Problem("body-too-large", 413, "The body is too large"),
    415: Problem("unsupported-media-type", 415, "The body's media type is not taken"),
}


_WORDS: Mapping[str, str] = {
    "json_invalid": "not valid JSON: {error}",
    "model_type": "must be a JSON object",
    "too_long": "must have {max_length} or fewer items",
    "too_short": "must have {min_length} or more items",
    "tuple_type": "must be a JSON array",
}
"""What is said instead of Pydantic's own words, which are Python's."""


def explain(problems: Problems, error: Exception) -> Explanation | None:
    """Give what a request is told of an error; None if it is none that was foreseen."""
    match error:
        case DaichoError():
            problem = find_problem(problems, type(error))
            return Explanation(problem, str(error), error.members()) if problem else None
        case RequestValidationError():
            return Explanation(VALIDATION_FAILED, "The request is not valid.", {"errors": _errors(error)})
        case HTTPException():
            problem = HTTP_PROBLEMS.get(error.status_code)
            detail = f"{error.detail}." if error.detail else None
            return Explanation(problem, detail or problem.title, {}) if problem else None
    return None


def slug_of(problems: Problems, error: Exception) -> str:
    """Name an error as its problem is named."""
    explanation = explain(problems, error)
    return INTERNAL_ERROR.slug if explanation is None else explanation.problem.slug


def find_problem(problems: Problems, error: type[DaichoError]) -> Problem | None:
    """Give the problem of an error type or of its nearest base class that has one."""
    for base in error.__mro__:
        if base in problems:
            return problems[base]
    return None


def _errors(error: RequestValidationError) -> list[dict[str, str]]:
    found = [one for one in error.errors() if not _is_echo(one)]
    return [{"pointer": _pointer(one), "message": _message(one)} for one in found[:_MAX_ERRORS]]


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
    if words := _WORDS.get(error["type"]):
        return words.format_map(error.get("ctx", {}))
    return str(error["msg"]).removeprefix("Value error, ")
