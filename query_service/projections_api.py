"""`GET /projections`, and what can be asked of one."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, ConfigDict, Field

from query_service.metrics import render
from query_service.parameters import MAX_POSITION, Number
from query_service.parking import parked_aggregates
from query_service.projection import Projection
from query_service.projection_statuses import ProjectionStatus, ProjectionStatuses
from query_service.rebuild import requests
from query_service.retrying import Retrying
from query_service.strict_query import given_once
from shared.database import fetch_all, translate_errors
from shared.errors import DaichoError

router = APIRouter(tags=["operations"], dependencies=[Depends(given_once)])


class NoParameters(BaseModel):
    """The query of routes that take none; whatever is given is refused by name."""

    model_config = ConfigDict(extra="forbid")


class ParkedParameters(NoParameters):
    """A page of `GET /projections/{name}/parked`."""

    after: Number = Field(default=0, ge=0, le=MAX_POSITION, description="Past this position")
    limit: Number = Field(default=100, ge=1, le=1000)


class RetryParameters(NoParameters):
    """What `POST /projections/{name}/parked/retry` applies again."""

    aggregate_id: UUID | None = Field(default=None, description="This aggregate's events; without it, all")


class UnknownProjection(DaichoError):
    """There is no projection of this name."""

    def __init__(self, name: str, known: Mapping[str, object]) -> None:
        super().__init__(f"There is no projection {name!r}: there are {', '.join(known)}.")


class Parked(BaseModel):
    """An aggregate whose events wait since the one at `position` could not be applied; `events` is how many wait."""

    model_config = ConfigDict(from_attributes=True)

    projection: str
    aggregate_type: str
    aggregate_id: UUID
    position: int
    version: int
    event_type: str
    event_id: UUID
    error: str
    attempts: int
    parked_at: datetime
    events: int


class RetryResult(BaseModel):
    """How many events were applied, and how many are parked still."""

    applied: int
    parked: int


@router.get("/projections", operation_id="listProjections", summary="How far each projection is")
async def list_projections(_: Annotated[NoParameters, Query()], request: Request) -> list[ProjectionStatus]:
    """Give each projection's position, its lag in events and seconds, what is parked, and how its rebuild goes."""
    return await _statuses(request)


@router.get("/metrics", operation_id="getMetrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
async def get_metrics(request: Request) -> Response:
    """Give each projection's position, lag and parked events as gauges, in Prometheus's text format."""
    return Response(render(await _statuses(request)), media_type=CONTENT_TYPE_PLAIN_0_0_4)


@router.post("/projections/{name}/rebuild", status_code=202, operation_id="rebuildProjection", summary="Rebuild one")
async def rebuild_projection(name: str, _: Annotated[NoParameters, Query()], request: Request) -> ProjectionStatus:
    """Build it anew from the whole log, in the background, and have it take the live one's place; queries go on.

    Asked again while that is under way, it goes on. `GET /projections` tells how far it is.
    """
    projection = _projection(name, request)
    with translate_errors():
        async with request.app.state.read_engine.connect() as connection:
            await requests.request(connection, [projection])
    return next(status for status in await _statuses(request) if status.name == name)


@router.get("/projections/{name}/parked", operation_id="listParked", summary="What a projection could not apply")
async def list_parked(name: str, page: Annotated[ParkedParameters, Query()], request: Request) -> list[Parked]:
    """Give each aggregate with parked events: where they begin, what is wrong there, and how many wait.

    Every other aggregate goes on meanwhile.
    """
    projection = _projection(name, request)
    rows = await fetch_all(request.app.state.read_engine, parked_aggregates([projection.name], page.after, page.limit))
    return [Parked.model_validate(row) for row in rows]


@router.post("/projections/{name}/parked/retry", operation_id="retryParked", summary="Apply parked events again")
async def retry_parked(name: str, which: Annotated[RetryParameters, Query()], request: Request) -> RetryResult:
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
