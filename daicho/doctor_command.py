"""`daicho doctor`: what is wrong with a ledger, or soon will be, each with what to do."""

import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from daicho.doctor.examination import examine
from daicho.doctor.findings import Finding, Patient
from daicho.errors import LedgerUnwell
from daicho.ledger import opened
from daicho.operating import refusals
from daicho.settings import OperatorSettings
from query_service.app import AGGREGATES
from query_service.projection_statuses import ProjectionStatuses
from shared.database import create_engine, translate_errors
from shared.event_log.reader import PostgresEventLog

_MARKS = {"ok": "ok   ", "look": "look ", "fault": "FAULT"}


async def run_doctor(settings: OperatorSettings, *, as_json: bool) -> None:
    """Print what each check found.

    Raises `LedgerUnwell` if anything is at fault, and `DatabaseUnavailable`.
    """
    async with _patient(settings) as patient:
        with refusals(), translate_errors():
            found = await examine(patient)
    if as_json:
        typer.echo(json.dumps([one._asdict() for one in found], indent=2))
    else:
        _show(found)
    if faults := sum(one.verdict == "fault" for one in found):
        raise LedgerUnwell(faults)


def _show(found: Sequence[Finding]) -> None:
    for one in found:
        typer.echo(f"{_MARKS[one.verdict]}  {one.check:12} {one.found}")
        if one.remedy:
            typer.echo(f"{'':21}→ {one.remedy}")


@asynccontextmanager
async def _patient(settings: OperatorSettings) -> AsyncIterator[Patient]:
    async with opened(settings) as ledger, AsyncExitStack() as stack:

        def engine(url: str) -> AsyncEngine:
            made = create_engine(url, application_name="daicho-operate", pool_size=2)
            stack.push_async_callback(made.dispose)
            return made

        log, read, listen = (
            engine(url) for url in (ledger.log_url, ledger.read_url, settings.listen_url or ledger.log_url)
        )
        projections = [projection for aggregate in AGGREGATES for projection in aggregate.projections]
        statuses = ProjectionStatuses(PostgresEventLog(log), read, projections)
        disk = partial(_disk, settings.data_dir) if settings.database_url is None else None
        yield Patient(log, read, listen, statuses, disk)


def _disk(folder: Path) -> tuple[int, int]:
    usage = shutil.disk_usage(folder)
    return usage.free, usage.total
