"""Loads months of history into the ledger, and waits until the read models show it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from time import perf_counter

import typer

from command_service.postgres_store import PostgresEventStore
from daicho.demo.backfill import backfill
from daicho.demo.history import batches, history
from daicho.ledger import opened
from daicho.operating import progress, refusals
from daicho.read_side import read_side
from daicho.settings import OperatorSettings
from query_service.projection_statuses import ProjectionStatuses
from shared.database import create_engine
from shared.schema import EVENT_STORE

_MONTH = timedelta(days=30)
_BATCH = 1000
_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 15.0
"""Where no projection has moved for so long, no query service runs."""


async def load_history(settings: OperatorSettings, seed: int, orders: int, months: int, stop: asyncio.Event) -> None:
    """Append orders of the last months, up to now, and wait for the query service; either ends early with `stop`.

    Raises `HistoryTooLate`, `SchemaMismatch`, `DatabaseUnavailable` and `DatabaseRefused`.
    """
    until = datetime.now(UTC)
    since = until - months * _MONTH
    commits = batches(history(seed, orders, since, until), _BATCH)
    started = perf_counter()
    async with _store(settings) as store:
        with progress(orders, "loading history", unit="orders") as (advance,):
            events = await backfill(store, commits, advance, stop)
    seconds = perf_counter() - started
    rate = f"{events:,} events in {seconds:.1f} s ({events / seconds:,.0f} events/s)"
    if stop.is_set():
        typer.echo(f"history was given up half-way, after {rate}; what is there is a ledger like any other")
        return
    typer.echo(f"{orders:,} orders of history since {since:%Y-%m-%d}, {rate}")
    started = perf_counter()
    behind = await _wait_until_projected(settings, events, stop)
    took = f"the read models show it all, after another {perf_counter() - started:.1f} s"
    typer.echo(f"the read models are {behind:,} events behind: a query service projects them" if behind else took)


@asynccontextmanager
async def _store(settings: OperatorSettings) -> AsyncIterator[PostgresEventStore]:
    async with opened(settings) as ledger:
        engine = create_engine(ledger.log_url, application_name="daicho-operate", pool_size=1)
        try:
            await EVENT_STORE.require(engine)
            with refusals():
                yield PostgresEventStore(engine)
        finally:
            await engine.dispose()


async def _wait_until_projected(settings: OperatorSettings, head: int, stop: asyncio.Event) -> int:
    """Wait while the projections move on towards a position; give how many events the last of them lacks then."""
    now = asyncio.get_running_loop().time
    async with read_side(settings) as side:
        statuses = ProjectionStatuses(side.log, side.read_engine, side.projections)
        with progress(head, "projecting") as (advance,):
            reached, moved_at = 0, now()
            while reached < head and not stop.is_set() and now() - moved_at < _PATIENCE_SECONDS:
                position = min(status.position for status in await statuses.list())
                if position > reached:
                    advance(min(position, head) - reached)
                    reached, moved_at = min(position, head), now()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await stop.wait()
    return head - reached
