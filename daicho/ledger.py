"""The databases that a command works on: a server that the settings name, or the embedded one in the data directory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import typer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from daicho.embedded_postgres import EmbeddedPostgres
from daicho.errors import NoLedger
from daicho.settings import OperatorSettings
from shared.database import create_engine, translate_errors

_DATABASE = "daicho"
_LOCK = 7234081526116
"""Advisory lock under which the database is made, so that two commands do not both."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where event log and read model are, with the rights of the role that owns them."""

    log_url: str
    read_url: str


@asynccontextmanager
async def opened(settings: OperatorSettings, *, create: bool = False) -> AsyncIterator[Ledger]:
    """Give the ledger; an embedded PostgreSQL runs while this lasts.

    With `create`, server and database are made if there are none, but no schema. Raises `NoLedger`, `OperatorError` and
    `DatabaseUnavailable`.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        yield Ledger(url, settings.read_url or url)
        return
    postgres = EmbeddedPostgres(settings.data_dir)
    if not create and not postgres.exists:
        raise NoLedger(settings.data_dir)
    async with embedded(postgres, settings) as ledger:
        yield ledger


@asynccontextmanager
async def embedded(postgres: EmbeddedPostgres, settings: OperatorSettings) -> AsyncIterator[Ledger]:
    """Run the embedded PostgreSQL while this lasts, and give its database, which is made if there is none.

    The read model is there too, unless the settings say otherwise.
    """
    if not postgres.running:
        typer.echo(f"starting PostgreSQL in {settings.data_dir} …", err=True)
    async with postgres.used():
        await _create_database(postgres)
        url = postgres.url(_DATABASE)
        yield Ledger(url, settings.read_url or url)


async def _create_database(postgres: EmbeddedPostgres) -> None:
    async with _connected(postgres) as connection:
        await connection.execute(text(f"SELECT pg_advisory_lock({_LOCK})"))
        query = text("SELECT 1 FROM pg_database WHERE datname = :name")
        if not await connection.scalar(query, {"name": _DATABASE}):
            await connection.execute(text(f"CREATE DATABASE {_DATABASE}"))


async def service_urls(postgres: EmbeddedPostgres) -> tuple[str, str]:
    """Let the services' roles into the embedded server; give the command and the query service's URL of the database."""
    roles = ("daicho_command", "daicho_query")
    async with _connected(postgres) as connection:
        for role in roles:
            await connection.execute(text(f"ALTER ROLE {role} LOGIN"))
    command, query = (postgres.url(_DATABASE, role) for role in roles)
    return command, query


@asynccontextmanager
async def _connected(postgres: EmbeddedPostgres) -> AsyncIterator[AsyncConnection]:
    engine = create_engine(postgres.url("postgres"), application_name="daicho-operate", pool_size=1)
    try:
        with translate_errors():
            async with engine.connect() as connection:
                yield connection
    finally:
        await engine.dispose()
