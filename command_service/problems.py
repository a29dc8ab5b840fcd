"""The problems of commands, whatever the aggregate."""

from command_service.errors import (
    AppendRefused,
    ConcurrencyConflict,
    IdempotencyKeyReused,
    VersionMismatch,
)
from shared.web.problems import UNAVAILABLE, Problem, Problems

PROBLEMS: Problems = {
    VersionMismatch: Problem(
        "version-mismatch",
        412,
        "It is at another version",
        {"version": {"type": "integer", "minimum": 0, "description": "The current version; 0 of what does not exist"}},
    ),
    ConcurrencyConflict: Problem("concurrency-conflict", 409, "Too many commands at once for one aggregate"),
    IdempotencyKeyReused: Problem("idempotency-key-reused", 422, "The idempotency key stands for another request"),
    AppendRefused: UNAVAILABLE,
}
