"""`GET /projections`, and what can be asked of one."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from query_service.parameters import IN_DIGITS, Number, PositionNumber
from query_service.parking import parked_aggregates
from query_service.partitions import MOST
from query_service.projection import Projection
from query_service.projection_statuses import ProjectionStatus, ProjectionStatuses
from query_service.rebuild import requests
from query_service.retrying import Retrying
from query_service.strict_query import given_once
from shared.database import fetch_all, translate_errors
from shared.errors import DaichoError, DatabaseUnavailable, Overloaded
from shared.web.metrics import metrics_response

router = APIRouter(tags=["operations"], dependencies=[Depends(given_once)])
operations_router = APIRouter(tags=["operations"], dependencies=[Depends(given_once)])
"""For operators alone: what changes something, or shows why an event could not be applied."""


Name = Annotated[str, Path(description="The projection's name", examples=["order_summaries"])]


class NoParameters(BaseModel):
    """The query of routes that take none; whatever is given is refused by name."""

    model_config = ConfigDict(extra="forbid")


Partitions = Annotated[int, Field(ge=1, le=MOST), IN_DIGITS]


class RebuildParameters(NoParameters):
    """How `POST /projections/{name}/rebuild` builds it."""

    partitions: Partitions | None = Field(
        default=None, description="Partitions to divide it into; without it, as many as it has", examples=[4]
    )


class ParkedParameters(NoParameters):
    """A page of `GET /projections/{name}/parked`."""

    after: PositionNumber = Field(default=0, description="Aggregates whose parked events begin past it", examples=[0])
    limit: Number = Field(default=100, ge=1, le=1000, description="Most aggregates in the answer", examples=[100])


class RetryParameters(NoParameters):
    """What `POST /projections/{name}/parked/retry` applies again."""

    aggregate_id: UUID | None = Field(
        default=None,
        description="This aggregate's events; without it, all",
        examples=["0199b7a4-7c00-7000-8000-000000000001"],
    )


class UnknownProjection(DaichoError):
    """There is no projection of this name."""

    def __init__(self, name: str, known: Mapping[str, object]) -> None:
        super().__init__(f"There is no projection {name!r}: there are {', '.join(known)}.")


class Parked(BaseModel):
    """An aggregate whose events wait since the one at `position` could not be applied; `events` is how many wait."""

    model_config = ConfigDict(from_attributes=True)

    projection: str = Field(description="The projection that could not apply it", examples=["order_summaries"])
    aggregate_type: str = Field(description="What the aggregate is", examples=["order"])
    aggregate_id: UUID = Field(description="Its id", examples=["0199b7a4-7c00-7000-8000-000000000001"])
    position: int = Field(description="The event's place in the whole log", examples=[2])
    version: int = Field(description="The event's place in its stream", examples=[2])
    event_type: str = Field(description="The event's type", examples=["OrderConfirmed"])
    event_id: UUID = Field(description="The event's id", examples=["0199b7a4-7c00-7000-8000-0000000000e1"])
    error: str = Field(description="Why it could not be applied", examples=["numeric field overflow"])
    attempts: int = Field(description="How often that was tried", examples=[3])
    parked_at: datetime = Field(description="Since when it waits", examples=["2026-01-02T03:04:06Z"])
    events: int = Field(description="How many events of the aggregate wait", examples=[2])


class RetryResult(BaseModel):
    """How many events were applied, and how many are parked still."""

    applied: int = Field(description="Events that were applied", examples=[2])
    parked: int = Field(description="Events that wait still", examples=[0])


@router.get("/projections", operation_id="listProjections", summary="How far each projection is")
async def list_projections(_: Annotated[NoParameters, Query()], request: Request) -> list[ProjectionStatus]:
    """Give each projection's position, its lag in events and seconds, what is parked, and how its rebuild goes."""
    return await _statuses(request)


@router.get("/metrics", operation_id="getMetrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
async def get_metrics(request: Request) -> Response:
    """Tell how far each projection is, and how the service does, in Prometheus's text format.

    While the database cannot be asked, what only it can tell is left out.
    """
    try:
        request.app.state.projection_metrics.statuses = await _statuses(request)
    except (DatabaseUnavailable, Overloaded):
        request.app.state.projection_metrics.statuses = ()
    return metrics_response(request)


@operations_router.post(
    "/projections/{name}/rebuild", status_code=202, operation_id="rebuildProjection", summary="Rebuild one"
)
async def rebuild_projection(
    name: Name, wanted: Annotated[RebuildParameters, Query()], request: Request
) -> ProjectionStatus:
    """Build it anew from the whole log, in the background, and have it take the live one's place; queries go on.

    Asked again while that is under way, it goes on as it was begun. `GET /projections` tells how far it is.
    """
    projection = _projection(name, request)
    with translate_errors():
        async with request.app.state.read_engine.connect() as connection:
            await requests.request(connection, [projection], wanted.partitions)
    return next(status for status in await _statuses(request) if status.name == name)


@operations_router.get(
    "/projections/{name}/parked", operation_id="listParked", summary="What a projection could not apply"
)
async def list_parked(name: Name, page: Annotated[ParkedParameters, Query()], request: Request) -> list[Parked]:
    """Give each aggregate with parked events: where they begin, what is wrong there, and how many wait.

    Every other aggregate goes on meanwhile.
    """
    projection = _projection(name, request)
    rows = await fetch_all(request.app.state.read_engine, parked_aggregates([projection.name], page.after, page.limit))
    return [Parked.model_validate(row) for row in rows]


@operations_router.post(
    "/projections/{name}/parked/retry", operation_id="retryParked", summary="Apply parked events again"
)
async def retry_parked(name: Name, which: Annotated[RetryParameters, Query()], request: Request) -> RetryResult:
    """Apply, in order and by today's code, what is parked, of one aggregate or all; tell what still could not be."""
    retrying = cast("Retrying", request.app.state.retrying)
    result = await retrying.retry([_projection(name, request).name], which.aggregate_id)
    return RetryResult(applied=result.applied, parked=result.parked)


async def _statuses(request: Request) -> list[ProjectionStatus]:
    return await cast("ProjectionStatuses", request.app.state.projection_statuses).list()


def _projection(name: str, request: Request) -> Projection:
    projections: Mapping[str, Projection] = request.app.state.projections
    if name not in projections:
        raise UnknownProjection(name, projections)
    return projections[name]
