"""How far every projection is: its checkpoint held against the log, what is parked, what is being rebuilt."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.projection import Projection
from query_service.projector import Projector
from query_service.rebuild.service import Rebuilds
from query_service.tables import checkpoints, leases, parked_events, rebuild_ranges
from shared.database import AnyRow, fetch_all
from shared.event_log.events import Position
from shared.event_log.reader import EventLog

_STALLED_SECONDS = 10.0
"""A projection that lags, and whose checkpoint has stood still, for this long is taken for stalled."""


class RebuildStatus(BaseModel):
    """A rebuild under way; `eta_seconds` is unknown until something is loaded."""

    state: Literal["requested", "loading", "loaded", "following"] = Field(
        description="`following`: it has what the live one has, and keeps up", examples=["loading"]
    )
    partitions: int = Field(description="How many partitions it will have", examples=[1])
    events_done: int = Field(description="Events applied so far", examples=[120_000])
    events_total: int = Field(
        description="While loading, about the events that there are to load; otherwise all of the log",
        examples=[1_000_000],
    )
    rate: float = Field(description="Events a second since it began", examples=[40_000.0])
    eta_seconds: float | None = Field(description="Seconds that it will take still", examples=[22.0])
    started_at: datetime | None = Field(description="When it began", examples=["2026-01-02T03:04:05Z"])
    failure: str | None = Field(
        description="Why the last attempt of the replica asked did not come to its end; it is made again",
        examples=[None],
    )


class PartitionStatus(BaseModel):
    """Where one partition of a projection is."""

    number: int = Field(description="Which one, from 0", examples=[0])
    position: int = Field(description="The position up to which it has applied its events", examples=[3])
    holder: UUID | None = Field(
        description="The replica that projects it; none for a moment, as when it moves from one to another",
        examples=["0199b7a4-7c00-7000-8000-0000000000f1"],
    )


class ProjectionStatus(BaseModel):
    """Where one projection is. `lag_seconds` is the age of the oldest event that it has not applied."""

    name: str = Field(description="The projection's name", examples=["order_summaries"])
    version: int = Field(description="The version of the code that built its live tables", examples=[1])
    state: Literal["live", "catching-up", "stalled", "outdated"] = Field(
        description="`outdated`: built by another version of the code, serving as it is until its rebuild is done",
        examples=["live"],
    )
    position: int = Field(description="The position up to which it has applied every event", examples=[3])
    head: int = Field(description="The position of the log's last event", examples=[3])
    lag_events: int = Field(description="Events that it has not applied yet", examples=[0])
    lag_seconds: float = Field(description="The age of the oldest of them", examples=[0.0])
    parked: int = Field(
        description="Events that wait, since they or one before them of the same aggregate failed", examples=[0]
    )
    partitions: list[PartitionStatus] = Field(description="What its aggregates are divided into; mostly one, the whole")
    rebuild: RebuildStatus | None = Field(description="The rebuild under way, if there is one", examples=[None])
    can_undo: bool = Field(description="Whether the tables from before the last rebuild are kept", examples=[False])
    last_rebuild: dict[str, Any] | None = Field(
        description="What the last rebuild found different, and `started_at`, `finished_at`", examples=[None]
    )


_CHECKPOINTS = (
    select(checkpoints, leases.c.holder)
    .outerjoin(
        leases,
        (leases.c.partitions == checkpoints.c.partitions)
        & (leases.c.partition == checkpoints.c.partition)
        & (leases.c.expires_at > func.clock_timestamp()),
    )
    .order_by(checkpoints.c.projection, checkpoints.c.generation, checkpoints.c.partition)
)


class _Progress(NamedTuple):
    """Events done, of how many."""

    done: int
    total: int


class ProjectionStatuses:
    """Reads the checkpoints and holds them against the log."""

    def __init__(
        self,
        log: EventLog,
        read_engine: AsyncEngine,
        projections: Sequence[Projection],
        projector: Projector | None = None,
        rebuilds: Rebuilds | None = None,
    ) -> None:
        self._log = log
        self._read_engine = read_engine
        self._projections = projections
        self._projector = projector
        self._rebuilds = rebuilds

    async def list(self) -> "list[ProjectionStatus]":
        """Give the status of every projection; the head is read last, so that no lag is negative."""
        rows = await fetch_all(self._read_engine, _CHECKPOINTS)
        generations: dict[tuple[str, str], list[AnyRow]] = {}
        for row in rows:
            generations.setdefault((row.projection, row.generation), []).append(row)
        parked = await self._parked()
        loads = await self._loads()
        head = await self._log.head()
        return [await self._status(one, generations, parked.get(one.name, 0), loads, head) for one in self._projections]

    async def _status(
        self,
        projection: Projection,
        generations: Mapping[tuple[str, str], Sequence[AnyRow]],
        parked: int,
        loads: Mapping[UUID, _Progress],
        head: Position,
    ) -> ProjectionStatus:
        partitions = generations.get((projection.name, "live"), ())
        live, new = (_last(generations.get((projection.name, generation), ())) for generation in ("live", "next"))
        position = Position(live.position if live else 0)
        waiting = await self._log.read_all(position, 1) if position < head else ()
        lag = (datetime.now(UTC) - waiting[0].recorded_at).total_seconds() if waiting else 0.0
        return ProjectionStatus(
            name=projection.name,
            version=live.version if live else projection.version,
            state=self._state(projection, live, lag, is_behind=bool(waiting)),
            position=position,
            head=head,
            lag_events=head - position,
            lag_seconds=max(lag, 0.0),
            parked=parked,
            partitions=[
                PartitionStatus(number=row.partition, position=row.position, holder=row.holder) for row in partitions
            ],
            rebuild=_rebuild(new, loads, head, self._rebuilds.failure if self._rebuilds else None) if new else None,
            can_undo=(projection.name, "previous") in generations,
            last_rebuild=live.report if live else None,
        )

    def _state(
        self, projection: Projection, live: AnyRow | None, lag: float, *, is_behind: bool
    ) -> Literal["live", "catching-up", "stalled", "outdated"]:
        if live is not None and live.version != projection.version:
            return "outdated"
        if self._projector is not None and self._projector.failure is not None:
            return "stalled"
        if not is_behind:
            return "live"
        is_still = live is not None and (datetime.now(UTC) - live.updated_at).total_seconds() > _STALLED_SECONDS
        return "stalled" if is_still and lag > _STALLED_SECONDS else "catching-up"

    async def _parked(self) -> dict[str, int]:
        row = parked_events.c
        query = select(row.projection, func.count().label("events")).where(row.generation == "live")
        found = await fetch_all(self._read_engine, query.group_by(row.projection))
        return {one.projection: one.events for one in found}

    async def _loads(self) -> dict[UUID, _Progress]:
        row = rebuild_ranges.c
        done = func.coalesce(func.sum(row.events), 0).label("done")
        total = func.sum(func.coalesce(row.events, row.estimate)).label("total")
        found = await fetch_all(self._read_engine, select(row.run, done, total).group_by(row.run))
        return {one.run: _Progress(int(one.done), int(one.total)) for one in found}


def _last(partitions: Sequence[AnyRow]) -> AnyRow | None:
    """Give the row of the partition that is furthest behind; but for positions and holders all of a generation tell the same."""
    return min(partitions, key=lambda row: row.position, default=None)


def _rebuild(new: AnyRow, loads: Mapping[UUID, _Progress], head: Position, failure: str | None) -> RebuildStatus:
    is_loading = new.state == "loading" and new.run in loads
    done, total = loads[new.run] if is_loading else _Progress(new.position, max(new.position, head))
    seconds = (datetime.now(UTC) - new.started_at).total_seconds() if new.started_at else 0.0
    rate = (done - new.started_from) / seconds if seconds > 0 else 0.0
    return RebuildStatus(
        state=new.state,
        partitions=new.partitions,
        events_done=done,
        events_total=total,
        rate=rate,
        eta_seconds=(total - done) / rate if rate else None,
        started_at=new.started_at,
        failure=failure,
    )
