"""What the API document tells of queries, whatever the aggregate."""

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from query_service.aggregate import Aggregate
from query_service.event_catalogue import example_event
from query_service.metrics import render
from query_service.projected_position import ReadModelBehind
from query_service.projection_statuses import ProjectionStatus
from query_service.projections_api import UnknownProjection
from shared.errors import Overloaded
from shared.event_log.events import Position
from shared.web.documentation import (
    DATABASE_ERRORS,
    UNKNOWN_PARAMETER,
    Chapter,
    Documentation,
    Examples,
    Link,
    Service,
    invalid,
)

READ_ERRORS = (
    ReadModelBehind(Position(7), Position(3)),
    Overloaded("Too many requests are waiting for the read model."),
    *DATABASE_ERRORS,
)
"""What every read that heeds `Event-Position` can be told."""

_DESCRIPTION = """\
The read side of Daicho, an order ledger: read models that follow its log of events, and the log itself.

- **Read your own write**: send the `Event-Position` of a command's answer, or of any other, and the answer reflects the log up to
  there, or further. It waits for that, two seconds or as many as `Prefer: wait=S` says, then it is a 503 `read-model-behind`.
- **Ask again cheaply**: with `If-None-Match` an answer that still holds is a 304. An `ETag` changes when the answer does.
- **Follow the log**: `GET /events` by pages, `GET /events/stream` as it grows; who goes on behind the last position misses nothing.
  `GET /asyncapi.json` describes every event.

Each request needs an access token, `Authorization: Bearer TOKEN`, with the scopes that are named beside it; a service on loopback
asks for none unless it is set to. `HEAD` is answered wherever `GET` is, with no content. A query
parameter that is not known is refused by name.

Every error is `application/problem+json` (RFC 9457); `type` is `urn:daicho:problem:` and the problem's name. A 503 may be tried again
after as many seconds as `Retry-After` says."""

_NAME = "order_summaries"
_UNKNOWN_PROJECTION = UnknownProjection("orders", {_NAME: None, "order_details": None, "order_items": None})
_STATUS = {
    "name": _NAME,
    "version": 1,
    "state": "live",
    "position": 3,
    "head": 3,
    "lag_events": 0,
    "lag_seconds": 0.0,
    "parked": 0,
    "partitions": [{"number": 0, "position": 3, "holder": "0199b7a4-7c00-7000-8000-0000000000f1"}],
    "rebuild": None,
    "can_undo": False,
    "last_rebuild": None,
}
_REBUILD = {
    "state": "requested",
    "partitions": 1,
    "events_done": 0,
    "events_total": 3,
    "rate": 0.0,
    "eta_seconds": None,
    "started_at": None,
    "failure": None,
}
_PARKED = {
    "projection": _NAME,
    "aggregate_type": "order",
    "aggregate_id": "0199b7a4-7c00-7000-8000-000000000001",
    "position": 2,
    "version": 2,
    "event_type": "OrderConfirmed",
    "event_id": "0199b7a4-7c00-7000-8000-0000000000e2",
    "error": "numeric field overflow",
    "attempts": 3,
    "parked_at": "2026-01-02T03:04:06Z",
    "events": 2,
}  # fmt: skip


def service(aggregates: Sequence[Aggregate]) -> Service:
    """Describe the service with these aggregates."""
    chapters = [aggregate.chapter for aggregate in aggregates if aggregate.chapter is not None]
    chapters += [_events(list(islice(_example_events(aggregates), 2))), _OPERATIONS]
    return Service("Daicho query service", _DESCRIPTION, "http://127.0.0.1:8002", chapters)


def read(
    answer: str,
    answers: Examples,
    errors: Iterable[Exception] = (),
    *,
    conditional: bool = True,
    links: Sequence[Link] = (),
) -> Documentation:
    """Describe a read that heeds `Event-Position`; a conditional one has an ETag."""
    headers = ["ETag", "Event-Position", "Cache-Control"] if conditional else ["Event-Position"]
    told = [*READ_ERRORS, *errors]
    return Documentation(answer, answers, headers=headers, errors=told, conditional=conditional, links=links)


def _example_events(aggregates: Iterable[Aggregate]) -> Iterable[dict[str, Any]]:
    """Give one event of each type, as `GET /events` would."""
    number = 0
    for aggregate in aggregates:
        for event_class in aggregate.events.classes.values():
            for data in event_class.model_json_schema().get("examples", ()):
                number += 1
                yield example_event(aggregate.aggregate_type, event_class, data, number)


def _events(page: Sequence[dict[str, Any]]) -> Chapter:
    last = page[-1]["position"] if page else 0
    message = {"id": str(last), "event": page[-1]["event_type"], "data": json.dumps(page[-1])} if page else {}
    return Chapter(
        "events",
        "The log itself: every change of every order, in one order, without a gap.",
        {
            "listEvents": read(
                "The events, and where to go on",
                {
                    "Two events": {"items": page, "next_after": last},
                    "No more so far": {"items": [], "next_after": last},
                },
                [invalid((("query", "limit"), "Input should be less than or equal to 1000"))],
                conditional=False,
                links=[Link("listEvents", "after", "/next_after")],
            ),
            "getEventCatalogue": Documentation(
                "The AsyncAPI document",
                {
                    "Shortened": {
                        "asyncapi": "3.0.0",
                        "info": {"title": "Daicho events"},
                        "channels": {},
                        "components": {},
                    }
                },
                errors=[invalid((("query", "format"), "must be given once"))],
            ),
            "streamEvents": Documentation(
                "The events, as they come; it ends when the client leaves, or the service stops",
                {"An event": message, "In silence, how far the log was searched": {"id": str(last)}},
                headers=["Cache-Control", "X-Accel-Buffering"],
                errors=[
                    invalid((("header", "last-event-id"), "must be a whole number, in digits")),
                    Overloaded("Too many clients are following the log."),
                    *DATABASE_ERRORS,
                ],
            ),
        },
    )


_OPERATIONS = Chapter(
    "operations",
    "How far the read models are, what could not be applied to them, and building them anew.",
    {
        "listProjections": Documentation(
            "Every projection",
            {"All is well": [_STATUS]},
            errors=[UNKNOWN_PARAMETER, *DATABASE_ERRORS],
            links=[Link(name, "name", "/0/name") for name in ("listParked", "retryParked", "rebuildProjection")],
        ),
        "getMetrics": Documentation(
            "Prometheus's text format",
            {"Of one projection": render([ProjectionStatus.model_validate(_STATUS)]).decode()},
            errors=[invalid((("query", "name"), "must be given once"))],
        ),
        "rebuildProjection": Documentation(
            "It will be rebuilt, or is being rebuilt already",
            {"It was asked for": {**_STATUS, "rebuild": _REBUILD}},
            errors=[UNKNOWN_PARAMETER, _UNKNOWN_PROJECTION, *DATABASE_ERRORS],
        ),
        "listParked": Documentation(
            "The aggregates with parked events",
            {"One order": [_PARKED], "None": []},
            errors=[
                invalid((("query", "limit"), "Input should be less than or equal to 1000")),
                _UNKNOWN_PROJECTION,
                *DATABASE_ERRORS,
            ],
        ),
        "retryParked": Documentation(
            "What came of it",
            {"All could be applied": {"applied": 2, "parked": 0}},
            errors=[
                invalid((("query", "aggregate"), "Extra inputs are not permitted")),
                _UNKNOWN_PROJECTION,
                *DATABASE_ERRORS,
            ],
        ),
    },
)
