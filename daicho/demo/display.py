"""Shows the demo's counts as they grow: a table that changes on a terminal, else a line now and then."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from daicho.demo.tally import Tally

_EVERY_SECONDS = 1.0
_PLAIN_EVERY_SECONDS = 10.0
_RATE_OVER = 10


@asynccontextmanager
async def shown(tally: Tally) -> AsyncIterator[None]:
    """Show the counts while this lasts."""
    showing = asyncio.create_task(_show(tally, Console()))
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


async def _show(tally: Tally, console: Console) -> None:
    now = asyncio.get_running_loop().time
    looks = deque([(now(), 0)], maxlen=_RATE_OVER + 1)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            await asyncio.sleep(_EVERY_SECONDS if console.is_terminal else _PLAIN_EVERY_SECONDS)
            looks.append((now(), tally.placed))
            (since, before), (until, after) = looks[0], looks[-1]
            rate = (after - before) / (until - since)
            if console.is_terminal:
                live.update(_table(tally, rate), refresh=True)
            else:
                typer.echo(f"{tally} ({rate:.1f} orders/s)")


def _table(tally: Tally, rate: float) -> Table:
    counts = tally.named()
    table = Table("orders/s", *counts, box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_row(f"{rate:.1f}", *(f"{number:,}" for number in counts.values()))
    return table
