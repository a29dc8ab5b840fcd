"""`GET /projections`: how far each projection has come, and how far behind it is."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.projection import Projection
from query_service.projector import Projector
from query_service.tables import checkpoints
from shared.database import fetch_all
from shared.event_log.events import Position
from shared.event_log.reader import EventLog

router = APIRouter(tags=["operations"])


class ProjectionStatus(BaseModel):
    """Where one projection is. `lag_seconds` is the age of the oldest event that it has not applied."""

    name: str
    version: int
    state: Literal["live", "catching-up", "stalled"]
    position: int
    head: int
    lag_events: int
    lag_seconds: float
    parked: int = 0
    rebuild: None = None


class ProjectionStatuses:
    """Reads the checkpoints and holds them against the log."""

    def __init__(
        self, log: EventLog, read_engine: AsyncEngine, projections: Sequence[Projection], projector: Projector
    ) -> None:
        self._log = log
        self._read_engine = read_engine
        self._projections = projections
        self._projector = projector

    async def list(self) -> "list[ProjectionStatus]":
        """Give the status of every projection; the head is read last, so that no lag is negative."""
        rows = await fetch_all(
            self._read_engine,
            select(checkpoints.c.projection, checkpoints.c.position).where(checkpoints.c.generation == "live"),
        )
        positions = {row.projection: Position(row.position) for row in rows}
        head = await self._log.head()
        return [await self._status(p, positions.get(p.name, Position(0)), head) for p in self._projections]

    async def _status(self, projection: Projection, position: Position, head: Position) -> ProjectionStatus:
        waiting = await self._log.read_all(position, 1) if position < head else ()
        lag = (datetime.now(UTC) - waiting[0].recorded_at).total_seconds() if waiting else 0.0
        stalled = self._projector.failure is not None
        return ProjectionStatus(
            name=projection.name,
            version=projection.version,
            state="stalled" if stalled else "catching-up" if waiting else "live",
            position=position,
            head=head,
            lag_events=head - position,
            lag_seconds=max(lag, 0.0),
        )


@router.get("/projections", operation_id="listProjections", summary="How far each projection is")
async def list_projections(request: Request) -> list[ProjectionStatus]:
    """Give each projection's position, and its lag in events and seconds."""
    return await cast("ProjectionStatuses", request.app.state.projections).list()
