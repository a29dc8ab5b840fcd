"""What the API document tells of every command, whatever the aggregate."""

from collections.abc import Iterable, Sequence

from starlette.exceptions import HTTPException

from command_service.aggregate import Aggregate
from command_service.command_handler import MAX_ATTEMPTS
from command_service.errors import AppendRefused, ConcurrencyConflict, IdempotencyKeyReused, VersionMismatch
from shared.errors import DatabaseUnavailable, OutcomeUnknown, Overloaded, UnknownEventType
from shared.event_log.events import Version
from shared.web.documentation import Chapter, Documentation, Examples, Link, Service, invalid

_ERRORS = (
    VersionMismatch(Version(2), Version(1)),
    HTTPException(413, "the limit is 1048576 bytes"),
    HTTPException(415, "the body must be application/json, in UTF-8"),
    IdempotencyKeyReused(),
    ConcurrencyConflict(MAX_ATTEMPTS),
    Overloaded("Too many commands are waiting."),
    OutcomeUnknown(),
    DatabaseUnavailable("the database cannot be reached"),
    AppendRefused("the database refused the append (54000)"),
    UnknownEventType("OrderGifted", 1, None, "this release knows no such event: run one that does"),
)

_DESCRIPTION = """\
The write side of Daicho, an order ledger. A command is carried out on the order as it is, and leads to one event that is in the
log, for ever, once it has been answered.

- **Repeating a request is safe** with an `Idempotency-Key`: it takes effect once, and the answer is the same.
- **Nobody was faster**: with `If-Match`, a command acts on the version that you have seen, or not at all.
- **Read your own write**: pass the `Event-Position` of an answer on to the query service.

Each request needs an access token, `Authorization: Bearer TOKEN`, with the scopes that are named beside it; a service on loopback
asks for none unless it is set to. `HEAD` is answered wherever `GET` is, with no content.

Every error is `application/problem+json` (RFC 9457); `type` is `urn:daicho:problem:` and the problem's name. A command that was refused
has changed nothing; after `outcome-unknown` and `internal-error` it may have, which repeating it with its key makes out. A 503 may be tried again
after as many seconds as `Retry-After` says."""


_METRICS = """\
# HELP daicho_command_seconds Time from when a command was read until it was answered
# TYPE daicho_command_seconds histogram
daicho_command_seconds_bucket{command="PlaceOrder",le="0.005",outcome="done"} 41.0
daicho_command_seconds_bucket{command="PlaceOrder",le="+Inf",outcome="done"} 42.0
daicho_command_seconds_count{command="PlaceOrder",outcome="done"} 42.0
daicho_command_seconds_sum{command="PlaceOrder",outcome="done"} 0.21
"""

_OPERATIONS = Chapter(
    "operations",
    "How the service does.",
    {"getMetrics": Documentation("Prometheus's text format", {"Of one command, shortened": _METRICS})},
)


def service(aggregates: Iterable[Aggregate]) -> Service:
    """Describe the service with these aggregates."""
    chapters = [aggregate.chapter for aggregate in aggregates if aggregate.chapter is not None]
    return Service("Daicho command service", _DESCRIPTION, "http://127.0.0.1:8001", [*chapters, _OPERATIONS])


def command(
    answer: str,
    answers: Examples,
    requests: Examples,
    errors: Sequence[Exception],
    *,
    creates: bool = False,
    links: Sequence[Link] = (),
) -> Documentation:
    """Describe a command; `errors` are those of its own, what is wrong in its body among them."""
    headers = ["ETag", "Event-Position", "Idempotency-Replayed"]
    if creates:
        headers = ["Location", *headers]
    return Documentation(answer, answers, requests, headers, [*errors, *_ERRORS], links=links)


def bulk(answers: Examples, requests: Examples) -> Documentation:
    """Describe a bulk request; what commands are refused for, its lines tell."""
    errors = (
        invalid((("header", "idempotency-key"), "is a matter of each line here")),
        HTTPException(413, "the limit is 1000 lines"),
        HTTPException(415, "the body must be application/x-ndjson, in UTF-8"),
        Overloaded("Too many bulk requests are waiting."),
    )
    return Documentation("What became of each line, in their order", answers, requests, ["Event-Position"], errors)
