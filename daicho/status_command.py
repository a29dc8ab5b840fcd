"""`daicho status`: how far every projection is, once or again and again."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Column, Table
from sqlalchemy import text

from daicho.read_side import ReadSide, read_side
from daicho.settings import OperatorSettings
from query_service.projection_statuses import ProjectionStatus, ProjectionStatuses, RebuildStatus
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


async def _table(side: ReadSide) -> Group:
    statuses = await ProjectionStatuses(side.log, side.read_engine, side.projections).list()
    rows = {row.name: row.connections for row in await fetch_all(side.log_engine or side.read_engine, _LISTENERS)}
    return status_table(statuses, listening=rows.get("daicho-listen", 0), appending=rows.get("daicho-append", 0))


def status_table(statuses: Sequence[ProjectionStatus], *, listening: int, appending: int) -> Group:
    """Make the table, as wide as a terminal of 80 columns, and below it what else there is to tell of a projection."""
    numbers = (Column(name, justify="right", no_wrap=True) for name in ("position", "lag", "seconds", "parked"))
    table = Table(Column("projection", overflow="fold"), Column("state", no_wrap=True), *numbers)
    for status in statuses:
        table.add_row(
            f"{status.name} v{status.version}",
            status.state,
            f"{status.position:,}",
            f"{status.lag_events:,}",
            f"{status.lag_seconds:.1f}",
            f"{status.parked:,}",
        )
    head = max((status.head for status in statuses), default=0)
    connected = f"log at {head:,} · {appending} command and {listening} query services connected to it"
    notes = [f"{status.name}: {' · '.join(notes)}" for status in statuses if (notes := _notes(status))]
    return Group(table, *notes, connected)


def _notes(status: ProjectionStatus) -> list[str]:
    """Say what is not so of most projections."""
    divided = [_divided(status)] if len(status.partitions) > 1 else []
    rebuild = [_rebuild(status.rebuild)] if status.rebuild is not None else []
    return [*divided, *rebuild, *(["can be undone"] if status.can_undo else [])]


def _divided(status: ProjectionStatus) -> str:
    """Say how many partitions each replica has."""
    held = Counter(partition.holder for partition in status.partitions)
    free = [f"{held.pop(None)} free"] if None in held else []
    shares = " + ".join([*map(str, sorted(held.values(), reverse=True)), *free])
    return f"{len(status.partitions)} partitions ({shares})"


def _rebuild(rebuild: RebuildStatus) -> str:
    eta = "" if rebuild.eta_seconds is None else f", {rebuild.eta_seconds:.0f} s left"
    return f"rebuild {rebuild.state} {rebuild.events_done:,}/{rebuild.events_total:,} ({rebuild.rate:,.0f}/s{eta})"
