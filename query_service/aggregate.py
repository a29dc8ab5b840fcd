"""What the composition root needs of an aggregate's folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter

from query_service.projection import Projection
from shared.event_log.registry import EventRegistry
from shared.web.documentation import Chapter
from shared.web.problems import Problems


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate type on the read side: its events, its projections, its routes, their problems and documentation.

    `scope` is what an access token must have for its queries, and, with those of all others, for reading the log.
    `views` has, by the name of each materialized view, the projections that it is made of.
    """

    aggregate_type: str
    scope: str
    events: EventRegistry
    projections: Sequence[Projection]
    router: APIRouter
    problems: Problems
    views: Mapping[str, Sequence[str]] = field(default_factory=dict)
    chapter: Chapter | None = None
