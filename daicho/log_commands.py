"""The commands that work on the whole log: verify, export, import."""

from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import asyncpg
import typer
from sqlalchemy import text

from daicho.errors import ReadModelNotEmpty
from daicho.export_log import export_log
from daicho.import_log import import_log, read_header
from daicho.ledger import Ledger, opened
from daicho.operating import log_connection, progress, refusals
from daicho.settings import OperatorSettings
from daicho.verify import Anchor, verify
from shared.database import create_engine, translate_errors

_HEAD = "SELECT coalesce(max(position), 0) FROM event_store.events"


async def run_verify(settings: OperatorSettings, anchor: Anchor | None) -> None:
    """Verify the log as it is now; commands may go on meanwhile. Raises `LogAltered`."""
    async with opened(settings) as ledger, log_connection(ledger.log_url) as connection, _snapshot(connection):
        head = await connection.fetchval(_HEAD)
        started = perf_counter()
        with progress("verifying", head) as advance:
            result = await verify(connection, advance, anchor)
    rate = result.events / (perf_counter() - started)
    typer.echo(f"{result.events:,} events in {result.seals:,} seals: nothing was altered ({rate:,.0f} events/s)")
    if result.head is not None:
        typer.echo(f"the last seal is {result.head}")
        typer.echo("kept elsewhere, it also proves later that not all was rewritten: daicho verify --anchor SEAL")


async def run_export(settings: OperatorSettings, file: Path, *, force: bool) -> None:
    """Export the log as it is now; commands may go on meanwhile."""
    async with opened(settings) as ledger, log_connection(ledger.log_url) as connection, _snapshot(connection):
        head = await connection.fetchval(_HEAD)
        started = perf_counter()
        with progress("exporting", head) as advance:
            await export_log(connection, file, head, datetime.now(UTC), advance, force=force)
    size = file.stat().st_size / 1e6
    typer.echo(f"{file}: {head:,} events, {size:,.1f} MB ({head / (perf_counter() - started):,.0f} events/s)")


async def run_import(settings: OperatorSettings, file: Path) -> None:
    """Import a log into an empty one, which is made where there is none."""
    header = read_header(file)
    async with opened(settings, create=True) as ledger, log_connection(ledger.log_url) as connection:
        await _require_empty_read_model(ledger)
        started = perf_counter()
        async with connection.transaction():
            with (
                progress("importing", header.head) as advance,
                progress("verifying", header.head) as verified,
            ):
                result = await import_log(connection, file, header, advance, verified)
        await connection.execute("ANALYZE event_store.events, event_store.seals")
    rate = result.events / (perf_counter() - started)
    typer.echo(f"{result.events:,} events in {result.seals:,} seals imported and verified ({rate:,.0f} events/s)")
    typer.echo("the query service projects them when it runs")


def _snapshot(connection: "asyncpg.Connection[Any]") -> "asyncpg.transaction.Transaction":
    """Give a transaction that reads one moment's log."""
    return connection.transaction(isolation="repeatable_read", readonly=True)


async def _require_empty_read_model(ledger: Ledger) -> None:
    engine = create_engine(ledger.read_url, application_name="daicho-operate", pool_size=1)
    try:
        with refusals(), translate_errors():
            async with engine.connect() as connection:
                if await connection.scalar(text("SELECT max(position) FROM read_model.checkpoints")):
                    raise ReadModelNotEmpty
    finally:
        await engine.dispose()
