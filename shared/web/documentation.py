"""What the API documents tell of an operation beyond what FastAPI reads from its route.

Kept beside the routes, by operation id: to have FastAPI read it, headers for instance, would cost every request time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi.exceptions import RequestValidationError

from shared.errors import DatabaseUnavailable, Overloaded
from shared.web.readiness import NotReady

Examples = Mapping[str, object]
"""Values by what they show, in words."""


@dataclass(frozen=True, slots=True)
class Documentation:
    """Of one operation.

    `links` are the operations that an answer leads to. `errors` has an example of every error that it can answer: the problem that its reader sees is made of it as that of
    one that is raised. `headers` are those of the successful answer; `conditional`: it can be 304.
    """

    answer: str = "The answer"
    answers: Examples = field(default_factory=dict)
    requests: Examples = field(default_factory=dict)
    headers: Sequence[str] = ()
    errors: Sequence[Exception] = ()
    conditional: bool = False
    links: Sequence["Link"] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """An operation that takes something of an answer; `source` is a JSON pointer (RFC 6901) into the answer."""

    operation_id: str
    parameter: str
    source: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """The operations of one tag, by operation id."""

    tag: str
    description: str
    operations: Mapping[str, Documentation]


@dataclass(frozen=True, slots=True)
class Service:
    """What the document tells of a service; `url` is its usual address, the chapters are in reading order."""

    title: str
    description: str
    url: str
    chapters: Sequence[Chapter]

    def find(self, operation_id: str) -> Documentation | None:
        """Give what is told of an operation."""
        found = (chapter.operations.get(operation_id) for chapter in self.chapters)
        return next((one for one in found if one is not None), None)


def invalid(*errors: tuple[Sequence[str | int], str]) -> RequestValidationError:
    """Make an example of what is wrong in a request: where, as Pydantic tells it, and why."""
    return RequestValidationError([{"type": "value_error", "loc": where, "msg": message} for where, message in errors])


UNKNOWN_PARAMETER = invalid((("query", "colour"), "Extra inputs are not permitted"))
DATABASE_ERRORS = (
    DatabaseUnavailable("the database cannot be reached"),
    Overloaded("every database connection is in use"),
)


def health(checks: Iterable[str]) -> Chapter:
    """Describe the routes of `/health`, which are the same in both services but for the names of the checks."""
    results = dict.fromkeys(checks, "ok")
    ready = {"status": "ready", "checks": results, "warnings": {}, "progress": {}}
    failed = {**results, next(iter(results)): "the database cannot be reached"}
    operations = {
        "getLiveness": Documentation(answer="The process answers", answers={"Alive": {"status": "alive"}}),
        "getReadiness": Documentation(
            answer="Every check passes",
            answers={"All is well": ready},
            errors=[NotReady(failed)],
        ),
    }
    return Chapter("health", "Whether the service lives and can do its work.", operations)
