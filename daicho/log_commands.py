"""The commands that work on the whole log: verify, export, import."""

from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import asyncpg
import typer
from sqlalchemy import Table, Text, func, select

from daicho.errors import LogNotEmpty, ReadModelNotEmpty
from daicho.export_log import export_log
from daicho.import_log import import_log, read_header
from daicho.ledger import Ledger, opened
from daicho.migrate import migrate
from daicho.operating import log_connection, progress, refusals
from daicho.settings import OperatorSettings
from daicho.verify import Anchor, verify
from query_service.tables import checkpoints
from shared.database import create_engine, translate_errors
from shared.event_log.tables import events

_MEGABYTE = 1_000_000
_HEAD = "SELECT coalesce(max(position), 0) FROM event_store.events"


async def run_verify(settings: OperatorSettings, anchor: Anchor | None) -> None:
    """Verify the log as it is now; commands may go on meanwhile. Raises `LogAltered`."""
    async with opened(settings) as ledger, log_connection(ledger.log_url) as connection, _snapshot(connection):
        head = await connection.fetchval(_HEAD)
        started = perf_counter()
        with progress(head, "verifying") as (advance,):
            result = await verify(connection, advance, anchor)
    rate = result.events / (perf_counter() - started)
    typer.echo(f"{result.events:,} events in {result.seals:,} seals: nothing was altered ({rate:,.0f} events/s)")
    if result.head is not None:
        typer.echo(f"the last seal is {result.head}")
        typer.echo("kept elsewhere, it also proves later that not all was rewritten: daicho verify --anchor SEAL")


async def run_export(settings: OperatorSettings, file: Path, *, force: bool) -> None:
    """Export the log as it is now, if it is intact; commands may go on meanwhile. Raises `LogAltered`."""
    async with opened(settings) as ledger, log_connection(ledger.log_url) as connection, _snapshot(connection):
        head = await connection.fetchval(_HEAD)
        started = perf_counter()
        with progress(head, "verifying", "exporting") as (verified, advance):
            await verify(connection, verified)
            await export_log(connection, file, head, datetime.now(UTC), advance, force=force)
    size = file.stat().st_size
    shown = f"{size / 1e6:,.1f} MB" if size >= _MEGABYTE else f"{size:,} bytes"
    typer.echo(f"{file}: {head:,} events, {shown} ({head / (perf_counter() - started):,.0f} events/s)")


async def run_import(settings: OperatorSettings, file: Path) -> None:
    """Import a log into an empty one, which is made where there is none."""
    header = read_header(file)
    async with opened(settings, create=True) as ledger:
        await _require_empty(ledger)
        await migrate(ledger.log_url, ledger.read_url)
        async with log_connection(ledger.log_url) as connection:
            started = perf_counter()
            with progress(header.head, "importing", "verifying") as (advance, verified):
                async with connection.transaction():
                    result = await import_log(connection, file, header, advance, verified)
            await connection.execute("ANALYZE event_store.events, event_store.seals")
    rate = result.events / (perf_counter() - started)
    typer.echo(f"{result.events:,} events in {result.seals:,} seals imported and verified ({rate:,.0f} events/s)")
    typer.echo("the query service projects them when it runs")


def _snapshot(connection: "asyncpg.Connection[Any]") -> "asyncpg.transaction.Transaction":
    """Give a transaction that reads one moment's log."""
    return connection.transaction(isolation="repeatable_read", readonly=True)


async def _require_empty(ledger: Ledger) -> None:
    """See before anything is changed, and whatever the schemas' revisions, that this is not another log's ledger."""
    if head := await _highest_position(ledger.log_url, events):
        raise LogNotEmpty(head)
    if await _highest_position(ledger.read_url, checkpoints):
        raise ReadModelNotEmpty


async def _highest_position(url: str, table: Table) -> int:
    """Give the highest position in a table, 0 if it is empty or not there."""
    engine = create_engine(url, application_name="daicho-operate", pool_size=1)
    try:
        with refusals(), translate_errors():
            async with engine.connect() as connection:
                if await connection.scalar(select(func.to_regclass(table.fullname, type_=Text))) is None:
                    return 0
                return await connection.scalar(select(func.max(table.c.position))) or 0
    finally:
        await engine.dispose()
