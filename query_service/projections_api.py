"""`GET /projections`, and what can be asked of one."""

from collections.abc import Mapping
from typing import cast

from fastapi import APIRouter, Request

from query_service.projection import Projection
from query_service.projection_statuses import ProjectionStatus, ProjectionStatuses
from query_service.rebuild import requests
from shared.database import translate_errors
from shared.errors import DaichoError

router = APIRouter(tags=["operations"])


class UnknownProjection(DaichoError):
    """There is no projection of this name."""

    def __init__(self, name: str, known: Mapping[str, object]) -> None:
        super().__init__(f"There is no projection {name!r}: there are {', '.join(known)}.")


@router.get("/projections", operation_id="listProjections", summary="How far each projection is")
async def list_projections(request: Request) -> list[ProjectionStatus]:
    """Give each projection's position, its lag in events and seconds, what is parked, and how its rebuild goes."""
    return await cast("ProjectionStatuses", request.app.state.projection_statuses).list()


@router.post("/projections/{name}/rebuild", status_code=202, operation_id="rebuildProjection", summary="Rebuild one")
async def rebuild_projection(name: str, request: Request) -> ProjectionStatus:
    """Build it anew from the whole log, in the background, and have it take the live one's place; queries go on.

    Asked again while that is under way, it goes on. `GET /projections` tells how far it is.
    """
    projection = _projection(name, request)
    with translate_errors():
        async with request.app.state.read_engine.connect() as connection:
            await requests.request(connection, [projection])
    statuses = await list_projections(request)
    return next(status for status in statuses if status.name == name)


def _projection(name: str, request: Request) -> Projection:
    projections: Mapping[str, Projection] = request.app.state.projections
    if name not in projections:
        raise UnknownProjection(name, projections)
    return projections[name]
