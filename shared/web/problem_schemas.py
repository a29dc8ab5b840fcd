"""Problems as JSON Schema, one schema for each kind."""

from typing import Any

from shared.web.problems import Problem

_REQUIRED = ("type", "title", "status", "detail", "instance")


def schema_name(problem: Problem) -> str:
    """Give the name of a problem's schema: `order-not-found` is `OrderNotFoundProblem`."""
    return f"{problem.slug.title().replace('-', '')}Problem"


def problem_schema(problem: Problem) -> dict[str, Any]:
    """Give the schema of a problem: the members of RFC 9457, and its own."""
    return {
        "type": "object",
        "title": schema_name(problem),
        "description": f"{problem.title} (RFC 9457).",
        "required": list(_REQUIRED),
        "properties": {
            "type": {"type": "string", "const": problem.type, "description": "The kind of problem, to decide by"},
            "title": {"type": "string", "description": "The kind of problem, to read", "examples": [problem.title]},
            "status": {"type": "integer", "const": problem.status, "description": "The HTTP status"},
            "detail": {"type": "string", "description": "What happened to this request, to read"},
            "instance": {"type": "string", "format": "uri-reference", "description": "The path that was asked"},
            **problem.members,
        },
    }
