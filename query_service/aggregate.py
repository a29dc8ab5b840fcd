"""What the composition root needs of an aggregate's folder."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter

from query_service.projection import Projection
from shared.event_log.registry import EventRegistry
from shared.web.problems import Problems


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate type on the read side: its events, its projections, its routes and their problems, its materialized views."""

    aggregate_type: str
    events: EventRegistry
    projections: Sequence[Projection]
    router: APIRouter
    problems: Problems
    views: Sequence[str] = ()
