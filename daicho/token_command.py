"""`daicho token`: an access token for development, and what has the services take it."""

import shlex
from collections.abc import Sequence

import typer

import command_service.app
import query_service.app
from daicho.development_keys import development_keys
from daicho.settings import OperatorSettings
from shared.web.access import OPERATIONS


def known_scopes() -> Sequence[str]:
    """Give every scope that a route needs."""
    write = [aggregate.scope for aggregate in command_service.app.AGGREGATES]
    read = [aggregate.scope for aggregate in query_service.app.AGGREGATES]
    return [*write, *read, OPERATIONS]


async def run_token(settings: OperatorSettings, scopes: Sequence[str], subject: str, minutes: int) -> None:
    """Print a token, and on the error stream how the services come to take it."""
    keys = development_keys(settings)
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in keys.variables.items())
    typer.echo(
        f"For development only. Services take it that run with\n  {variables}\nor by `daicho up --with-identity`.",
        err=True,
    )
    typer.echo(keys.sign(subject, scopes, minutes * 60))
