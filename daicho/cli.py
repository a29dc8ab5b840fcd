"""`daicho`: the operator's commands."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, NoReturn

import typer
from pydantic import ValidationError

from daicho.errors import DatabaseUrlMissing
from daicho.migrate import migrate as run_migrations
from daicho.settings import OperatorSettings
from daicho.up import up as run_up
from shared.errors import DaichoError

app = typer.Typer(
    help="Daicho, an order ledger: run it and look after it. Settings come from DAICHO_* variables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command(epilog="Example: DAICHO_COMMAND_PORT=9001 daicho up")
def up() -> None:
    """Run PostgreSQL, the migrations and both services until Ctrl-C.

    With DAICHO_DATABASE_URL set, that server is used and no PostgreSQL is started.
    """
    _run(run_up(_settings()))


@app.command(epilog="Example: DAICHO_DATABASE_URL=postgresql://postgres@db/daicho daicho migrate")
def migrate() -> None:
    """Bring both schemas of the database to what this release needs."""
    settings = _settings()
    if settings.database_url is None:
        _fail(DatabaseUrlMissing("migrate"))
    url = settings.database_url.get_secret_value()
    _run(run_migrations(url, settings.read_url or url))
    typer.echo("both schemas are at head")


@app.callback()
def main() -> None:
    """Set logging up, once for every command."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def _settings() -> OperatorSettings:
    try:
        return OperatorSettings()
    except ValidationError as error:
        for one in error.errors():
            typer.echo(f"DAICHO_{'.'.join(map(str, one['loc'])).upper()}: {one['msg']}", err=True)
        raise typer.Exit(2) from None


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run a command; an error of ours is one line and exit code 1."""
    try:
        asyncio.run(work)
    except DaichoError as error:
        _fail(error)


def _fail(error: DaichoError) -> NoReturn:
    typer.echo(f"daicho: {error}", err=True)
    raise typer.Exit(1)
