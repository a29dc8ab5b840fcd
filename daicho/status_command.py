"""`daicho status`: how far every projection is, once or again and again."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Column, Table
from sqlalchemy import text

from daicho.read_side import ReadSide, read_side
from daicho.settings import OperatorSettings
from query_service.projection_statuses import ProjectionStatus, ProjectionStatuses
from shared.database import fetch_all

_EVERY_SECONDS = 1.0
_LISTENERS = text("""
SELECT application_name AS name, count(*) AS connections FROM pg_stat_activity
WHERE datname = current_database() AND application_name IN ('daicho-listen', 'daicho-project', 'daicho-append')
GROUP BY 1
""")


async def run_status(settings: OperatorSettings, *, watch: bool) -> None:
    """Print a table of the projections; with `watch`, keep it up to date until cancelled."""
    async with read_side(settings) as side:
        if not watch:
            Console().print(await _table(side))
            return
        with Live(await _table(side), console=Console(), auto_refresh=False) as live:
            while True:
                await asyncio.sleep(_EVERY_SECONDS)
                live.update(await _table(side), refresh=True)


async def _table(side: ReadSide) -> Table:
    statuses = await ProjectionStatuses(side.log, side.read_engine, side.projections).list()
    rows = {row.name: row.connections for row in await fetch_all(side.log_engine or side.read_engine, _LISTENERS)}
    return status_table(statuses, listening=rows.get("daicho-listen", 0), appending=rows.get("daicho-append", 0))


def status_table(statuses: Sequence[ProjectionStatus], *, listening: int, appending: int) -> Table:
    """Make the table."""
    head = max((status.head for status in statuses), default=0)
    caption = f"log at {head:,} · {appending} command and {listening} query services connected to it"
    names = (Column("projection", no_wrap=True), Column("state", no_wrap=True))
    table = Table(*names, "position", "lag", "seconds", "parked", "rebuild", "undo", caption=caption)
    for status in statuses:
        table.add_row(
            f"{status.name} v{status.version}{_divided(status)}",
            status.state,
            f"{status.position:,}",
            f"{status.lag_events:,}",
            f"{status.lag_seconds:.1f}",
            f"{status.parked:,}",
            _rebuild(status),
            "kept" if status.can_undo else "",
        )
    return table


def _divided(status: ProjectionStatus) -> str:
    """Say how many partitions each replica has."""
    if len(status.partitions) == 1:
        return ""
    held = Counter(partition.holder for partition in status.partitions)
    free = [f"{held.pop(None)} free"] if None in held else []
    shares = " + ".join([*map(str, sorted(held.values(), reverse=True)), *free])
    return f" /{len(status.partitions)} ({shares})"


def _rebuild(status: ProjectionStatus) -> str:
    rebuild = status.rebuild
    if rebuild is None:
        return ""
    eta = "" if rebuild.eta_seconds is None else f", {rebuild.eta_seconds:.0f} s left"
    return f"{rebuild.state} {rebuild.events_done:,}/{rebuild.events_total:,} ({rebuild.rate:,.0f}/s{eta})"
