"""`daicho rebuild`: read models anew from the whole log, while the ones there are serve."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import typer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from daicho.errors import RebuildGivenUp, RebuildUnderWay
from daicho.operating import progress
from daicho.read_side import ReadSide, read_side
from daicho.settings import OperatorSettings
from query_service.batches import Batches
from query_service.projection_statuses import ProjectionStatus, ProjectionStatuses
from query_service.rebuild import requests
from query_service.rebuild.processes import LoadProcesses
from query_service.rebuild.rebuilder import Rebuilder
from query_service.settings import QuerySettings
from query_service.tables import checkpoints
from shared.database import fetch_all
from shared.settings import load

Instead = Literal["undo", "finish", "discard"]
"""What may be done instead of a rebuild."""

_INSTEAD = {"undo": requests.undo, "finish": requests.finish, "discard": requests.discard}
_SAID = {
    None: "is to be rebuilt; a running query service does it",
    "undo": "is to be undone; a running query service does it",
    "finish": "no tables from before a rebuild are kept any more",
    "discard": "no rebuild is under way any more",
}
"""What is said where nothing is waited for."""

_LOOK_SECONDS = 0.5


async def run_rebuild(
    settings: OperatorSettings,
    names: Sequence[str],
    instead: Instead | None = None,
    *,
    partitions: int | None = None,
    wait: bool,
) -> None:
    """Rebuild these projections, or all, and wait until they are live; or undo, finish or give up a rebuild.

    Raises `RebuildGivenUp` if another process gave one up, `RebuildUnderWay` if one into other partitions has begun.
    """
    async with read_side(settings) as side:
        wanted = side.named(names)
        done = [projection.name for projection in wanted]
        before = await _begun(side)
        async with side.read_engine.begin() as connection:
            if instead is None:
                await requests.request(connection, wanted, partitions)
                await _require_partitions(connection, done, partitions)
            else:
                for projection in wanted:
                    await _INSTEAD[instead](connection, projection)
        if instead not in {None, "undo"} or not wait:
            for name in done:
                typer.echo(f"{name}: {_SAID[instead]}")
            return
        await _until_done(side, done)
        now = await _begun(side)
        given_up = [name for name in done if now[name] == before[name]]
        for status in await _statuses(side):
            if status.name in done and status.name not in given_up:
                typer.echo(outcome(status, "undone" if instead == "undo" else "rebuilt"))
        if given_up:
            raise RebuildGivenUp(given_up)


async def _require_partitions(connection: AsyncConnection, names: Sequence[str], partitions: int | None) -> None:
    for one in await requests.under_way(connection):
        if one.projection in names and one.partitions != (partitions or one.partitions):
            raise RebuildUnderWay(one.projection, one.partitions)


async def _begun(side: ReadSide) -> dict[str, datetime | None]:
    """Give the moment at which the rebuild or undo that led to each live generation began, which tells them apart."""
    row = checkpoints.c
    query = select(row.projection, row.started_at).where(row.generation == "live")
    return {one.projection: one.started_at for one in await fetch_all(side.read_engine, query)}


async def _until_done(side: ReadSide, names: Sequence[str]) -> None:
    """Do it, or watch who does, with a progress bar for each."""
    working = asyncio.create_task(_rebuild(side))
    try:
        head = await side.log.head()
        with progress(head, *names) as advances:
            done = dict.fromkeys(names, 0)
            while True:
                statuses = {status.name: status.rebuild for status in await _statuses(side)}
                for name, advance in zip(names, advances, strict=True):
                    rebuild = statuses[name]
                    reached = head if rebuild is None else head * rebuild.events_done // max(rebuild.events_total, 1)
                    advance(reached - done[name])
                    done[name] = reached
                if all(statuses[name] is None for name in names):
                    break
                await asyncio.wait([working], timeout=_LOOK_SECONDS)
                if working.done() and not working.result():
                    working = asyncio.create_task(_rebuild(side, after=_LOOK_SECONDS))
        await working
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def _rebuild(side: ReadSide, after: float = 0.0) -> bool:
    await asyncio.sleep(after)
    settings = load(QuerySettings, database_url=side.ledger.log_url, read_database_url=side.ledger.read_url)
    batches = Batches(side.log, side.registry, side.projections, settings.projection_batch)
    rebuilder = Rebuilder(
        side.log,
        side.log_engine,
        side.read_engine,
        side.by_type,
        batches,
        LoadProcesses(settings).load,
        timedelta(seconds=settings.keep_previous),
    )
    return await rebuilder.rebuild()


async def _statuses(side: ReadSide) -> list[ProjectionStatus]:
    return await ProjectionStatuses(side.log, side.read_engine, side.projections).list()


def outcome(status: ProjectionStatus, deed: str = "rebuilt") -> str:
    """Say what a rebuild, or its undoing, found."""
    report = status.last_rebuild or {}
    done = f"{status.name}: {deed}, at position {status.position:,}"
    if not report.get("compared"):
        return f"{done}; not compared, the old tables were at another one"
    found = []
    for name, table in report["tables"].items():
        if count := table["different_rows"]:
            found.append(f"{count:,} rows of {name} were different, such as {', '.join(table['examples'])}")
    return f"{done}; {'; '.join(found) or 'nothing was different'}"
