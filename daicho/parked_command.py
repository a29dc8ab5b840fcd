"""`daicho parked`: what projections could not apply."""

from collections.abc import Sequence
from uuid import UUID

import typer

from daicho.read_side import read_side
from daicho.settings import OperatorSettings
from query_service.parking import ParkedAggregate, parked_aggregates
from query_service.retrying import Retrying
from shared.database import fetch_all

_SHOWN = 1000


async def run_parked_list(settings: OperatorSettings, names: Sequence[str]) -> None:
    """Print the aggregates with parked events, and why they are."""
    async with read_side(settings) as side:
        wanted = [projection.name for projection in side.named(names)]
        found = [
            ParkedAggregate(*row) for row in await fetch_all(side.read_engine, parked_aggregates(wanted, 0, _SHOWN))
        ]
    if not found:
        typer.echo("nothing is parked")
        return
    for one in found:
        typer.echo(
            f"{one.projection}: {one.aggregate_type} {one.aggregate_id}, {one.events:,} events from version {one.version}"
            f" (position {one.position:,}) on, tried {one.attempts:,} times\n  {one.error}"
        )


async def run_parked_retry(settings: OperatorSettings, names: Sequence[str], aggregate_id: UUID | None) -> None:
    """Apply parked events again; tell how many are parked still."""
    async with read_side(settings) as side:
        wanted = [projection.name for projection in side.named(names)]
        retrying = Retrying(side.log, side.registry, side.projections, side.read_engine)
        result = await retrying.retry(wanted, aggregate_id)
    typer.echo(f"{result.applied:,} events applied, {result.parked:,} are parked still")


async def run_parked_discard(settings: OperatorSettings, names: Sequence[str], aggregate_id: UUID) -> None:
    """Give an aggregate's parked events up."""
    async with read_side(settings) as side:
        wanted = [projection.name for projection in side.named(names)]
        retrying = Retrying(side.log, side.registry, side.projections, side.read_engine)
        count = await retrying.discard(wanted, aggregate_id)
    typer.echo(
        f"{count:,} parked events discarded: the read models go on without them; the log has them, and a rebuild tries them again"
    )
