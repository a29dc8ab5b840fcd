"""`daicho up`: PostgreSQL, migrations and both services, until a signal ends them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import typer
from pydantic import SecretStr

from command_service.settings import CommandSettings
from daicho.browsers import command_url, cross_origin
from daicho.development_keys import development_keys
from daicho.embedded_postgres import EmbeddedPostgres, only_one
from daicho.ledger import embedded, service_urls
from daicho.migrate import migrate
from daicho.services import Service
from daicho.settings import OperatorSettings
from daicho.signals import stop_event
from query_service.settings import QuerySettings
from shared.settings import load, require_identity
from shared.supervision import Supervisor

_logger = logging.getLogger(__name__)

_POSTGRES_CHECK_SECONDS = 1.0
_TOKENS = "\n  A token    daicho token --scope orders:write --scope orders:read --scope operations\n"


async def up(settings: OperatorSettings, *, with_identity: bool = False) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP, then end it in order, PostgreSQL last.

    With identity, the services take the access tokens of `daicho token`. Raises `OperatorError` or `DatabaseUnavailable` if something does not start.
    """
    stop = stop_event()
    identity = development_keys(settings).variables if with_identity else {}
    async with serving(settings, stop, identity):
        await stop.wait()


@asynccontextmanager
async def serving(
    settings: OperatorSettings, stop: asyncio.Event, identity: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[None]:
    """Run everything while this lasts. It begins when both services are ready, or `stop` is set before.

    `identity` has the variables by which the services ask for tokens, where the environment has none.

    Raises as `up`.
    """
    url = settings.database_url or SecretStr("postgresql:///")
    fields = {"database_url": url, **_fields(identity)}
    for_command, for_query = load(CommandSettings, **fields), load(QuerySettings, **fields)
    command, query = services(settings)
    for service in (command, query):
        service.require_free_port()
    for one in (for_command, for_query):
        require_identity(one)
    async with _databases(settings) as databases, Supervisor() as supervisor:
        for_commands = {**databases.for_commands, **cross_origin(query), **identity}
        for_queries = {**databases.for_queries, **command_url(command), **identity}
        supervisor.start("command service", partial(command.run, for_commands, for_command.stop_seconds))
        supervisor.start("query service", partial(query.run, for_queries, for_query.stop_seconds))
        if await _all_ready((command, query), stop):
            typer.echo(f"\n  commands   {command.url}\n  queries    {query.url}\n  dashboard  {query.url}/")
            typer.echo(f"{_TOKENS if identity else ''}\n  Ctrl-C stops.\n")
        yield
        typer.echo("stopping …")


def _fields(variables: Mapping[str, str]) -> Mapping[str, str]:
    """Give the fields of the settings that are read from these variables."""
    return {name.removeprefix("DAICHO_").lower(): value for name, value in variables.items()}


def services(settings: OperatorSettings) -> tuple[Service, Service]:
    """Give the command and the query service, as the settings have them."""
    command = Service("command", "command_service", settings.host, settings.command_port, "DAICHO_COMMAND_PORT")
    query = Service("query", "query_service", settings.host, settings.query_port, "DAICHO_QUERY_PORT")
    return command, query


@dataclass(frozen=True, slots=True)
class _Databases:
    """What each service's environment says about its database, beyond what it inherits."""

    for_commands: Mapping[str, str]
    for_queries: Mapping[str, str]


@asynccontextmanager
async def _databases(settings: OperatorSettings) -> AsyncIterator[_Databases]:
    """Give migrated databases: the server that the settings name, or the embedded one while this lasts."""
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        await migrate(url, settings.read_url or url)
        yield _Databases({}, {})
        return
    postgres = EmbeddedPostgres(settings.data_dir)
    with only_one(settings.data_dir):
        async with embedded(postgres, settings) as ledger, Supervisor() as supervisor:
            await migrate(ledger.log_url, ledger.read_url)
            command, query = await service_urls(postgres)
            supervisor.start("PostgreSQL", partial(_watch, postgres))
            yield _Databases({"DAICHO_DATABASE_URL": command}, {"DAICHO_DATABASE_URL": query})
        if postgres.running:
            typer.echo("PostgreSQL goes on until the other daicho commands on it have ended")


async def _watch(postgres: EmbeddedPostgres) -> None:
    """Start PostgreSQL again when its process has gone."""
    while True:
        await asyncio.sleep(_POSTGRES_CHECK_SECONDS)
        if not await asyncio.to_thread(lambda: postgres.running):
            _logger.error("PostgreSQL has ended; starting it again")
            await asyncio.to_thread(postgres.start)


async def _all_ready(services: Sequence[Service], stop: asyncio.Event) -> bool:
    """Wait until every service is ready; False if told to stop before."""

    async def wait_ready() -> None:
        await asyncio.gather(*(service.wait_ready() for service in services))

    ready, stopped = asyncio.create_task(wait_ready()), asyncio.create_task(_until(stop))
    await asyncio.wait((ready, stopped), return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        ready.cancel()
        return False
    stopped.cancel()
    ready.result()
    return True


async def _until(event: asyncio.Event) -> None:
    await event.wait()
