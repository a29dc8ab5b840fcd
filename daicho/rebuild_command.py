"""`daicho rebuild`: read models anew from the whole log, while the ones there are serve."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import typer

from daicho.operating import progress
from daicho.read_side import ReadSide, read_side
from daicho.settings import OperatorSettings
from query_service.batches import Batches
from query_service.projection_statuses import ProjectionStatus, ProjectionStatuses
from query_service.rebuild import requests
from query_service.rebuild.processes import LoadProcesses
from query_service.rebuild.rebuilder import Rebuilder
from query_service.settings import QuerySettings
from shared.settings import load

Instead = Literal["undo", "finish", "discard"]
"""What may be done instead of a rebuild."""

_INSTEAD = {"undo": requests.undo, "finish": requests.finish, "discard": requests.discard}
_LOOK_SECONDS = 0.5


async def run_rebuild(settings: OperatorSettings, names: Sequence[str], instead: Instead | None, *, wait: bool) -> None:
    """Rebuild these projections, or all, and wait until they are live; or undo, finish or give up a rebuild."""
    async with read_side(settings) as side:
        wanted = side.named(names)
        async with side.read_engine.begin() as connection:
            if instead is None:
                await requests.request(connection, wanted)
            else:
                for projection in wanted:
                    await _INSTEAD[instead](connection, projection)
        if instead in {None, "undo"} and wait:
            await _until_done(side, [projection.name for projection in wanted])
            for status in await _statuses(side):
                if status.name in names or not names:
                    typer.echo(outcome(status))


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
                    reached = head if rebuild is None else min(rebuild.events_done, head)
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


def outcome(status: ProjectionStatus) -> str:
    """Say what a rebuild found."""
    report = status.last_rebuild or {}
    if not report.get("compared"):
        return (
            f"{status.name}: rebuilt, at position {status.position:,}; not compared, the old tables were at another one"
        )
    found = []
    for name, table in report["tables"].items():
        if count := table["different_rows"]:
            found.append(f"{count:,} rows of {name} were different, such as {', '.join(table['examples'])}")
    return f"{status.name}: rebuilt, at position {status.position:,}; {'; '.join(found) or 'nothing was different'}"
