"""The databases that a command works on: a server that the settings name, or the embedded one in the data directory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import typer
from sqlalchemy import text

from daicho.embedded_postgres import EmbeddedPostgres, locked
from daicho.errors import NoLedger
from daicho.migrate import migrate
from daicho.settings import OperatorSettings
from shared.database import create_engine

_DATABASE = "daicho"


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where event log and read model are, with the rights of the role that owns them."""

    log_url: str
    read_url: str


@asynccontextmanager
async def opened(settings: OperatorSettings, *, create: bool = False) -> AsyncIterator[Ledger]:
    """Give the ledger; an embedded PostgreSQL that is down runs while this lasts.

    With `create` it is made if there is none, and migrated. Raises `NoLedger`, `OperatorError` and `DatabaseUnavailable`.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        ledger = Ledger(url, settings.read_url or url)
        if create:
            await migrate(ledger.log_url, ledger.read_url)
        yield ledger
        return
    postgres = EmbeddedPostgres(settings.data_dir)
    if not create and not postgres.exists:
        raise NoLedger(settings.data_dir)
    async with AsyncExitStack() as stack:
        if not postgres.running:
            await stack.enter_async_context(started(postgres, settings))
        url = postgres.url(_DATABASE)
        ledger = Ledger(url, settings.read_url or url)
        if create:
            await prepare(postgres, settings.read_url)
        yield ledger


@asynccontextmanager
async def started(postgres: EmbeddedPostgres, settings: OperatorSettings) -> AsyncIterator[None]:
    """Hold the data directory and run its PostgreSQL while this lasts."""
    with locked(settings.data_dir):
        typer.echo(f"starting PostgreSQL in {settings.data_dir} …", err=True)
        try:
            await asyncio.to_thread(postgres.start)
            yield
        finally:
            await asyncio.to_thread(postgres.stop)


async def prepare(postgres: EmbeddedPostgres, read_url: str | None) -> None:
    """Make the embedded server's database if there is none, migrate it, and let the services' roles in.

    The read model is there too, unless `read_url` says otherwise.
    """
    engine = create_engine(postgres.url("postgres"), application_name="daicho-up", pool_size=1)
    try:
        async with engine.connect() as connection:
            query = text("SELECT 1 FROM pg_database WHERE datname = :name")
            if not await connection.scalar(query, {"name": _DATABASE}):
                await connection.execute(text(f"CREATE DATABASE {_DATABASE}"))
            url = postgres.url(_DATABASE)
            await migrate(url, read_url or url)
            for role in ("daicho_command", "daicho_query"):
                await connection.execute(text(f"ALTER ROLE {role} LOGIN"))
    finally:
        await engine.dispose()


def service_url(postgres: EmbeddedPostgres, role: str) -> str:
    """Give the URL of the embedded server's database for a service's role."""
    return postgres.url(_DATABASE, role)
