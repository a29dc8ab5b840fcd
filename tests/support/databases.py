"""Real databases for tests: one server, one migrated template, a clone of it per test."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daicho.embedded_postgres import EmbeddedPostgres
from daicho.migrate import migrate
from shared.database import create_engine
from shared.database_url import database_url

_CONFIGURATION = """
max_connections = 300
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = '256MB'
jit = off
unix_socket_permissions = 0700
"""

_MEMORY = Path("/dev/shm")
_ROOM = 8 * 2**30
"""Bytes that must be free for servers in memory."""


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL on which tests may make databases."""

    admin_url: str

    def url(self, database: str) -> str:
        """Give the URL of one of its databases."""
        return database_url(self.admin_url).set(database=database).render_as_string(hide_password=False)


@contextmanager
def server() -> Iterator[Server]:
    """Give the server that DAICHO_DATABASE_URL names, else an embedded one while this lasts."""
    if given := os.environ.get("DAICHO_DATABASE_URL"):
        yield Server(given)
        return
    with server_of_its_own(_CONFIGURATION) as running:
        yield running


@contextmanager
def server_of_its_own(configuration: str) -> Iterator[Server]:
    """Give an embedded server while this lasts."""
    folder = Path(tempfile.mkdtemp(prefix="daicho-test-", dir=_quick_folder()))
    postgres = EmbeddedPostgres(folder, configuration)
    try:
        postgres.start()
        yield Server(postgres.url("postgres"))
    finally:
        postgres.stop()
        shutil.rmtree(folder)


def _quick_folder() -> Path | None:
    """Give where a database is made in a tenth of the time: in memory, if there is room and nothing else was asked for."""
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK | os.X_OK):
        return None
    room = min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available)
    return _MEMORY if room >= _ROOM else None


async def _migrate_both(url: str) -> None:
    await migrate(url, url)


@contextmanager
def migrated_template(
    server: Server, migrating: Callable[[str], Coroutine[Any, Any, None]] = _migrate_both
) -> Iterator[str]:
    """Give the name of a database that stands at both heads, or where else it is migrated, and to which nobody is connected."""
    name = f"template_{uuid4().hex}"

    async def make() -> None:
        await _execute(server, f"CREATE DATABASE {name}")
        await migrating(server.url(name))

    asyncio.run(make())
    try:
        yield name
    finally:
        asyncio.run(_execute(server, _drop(name)))


@asynccontextmanager
async def cloned(server: Server, template: str) -> AsyncIterator[str]:
    """Give the URL of a database of the test's own."""
    name = f"test_{uuid4().hex}"
    await _execute(server, _clone(name, template))
    try:
        yield server.url(name)
    finally:
        await _execute(server, _drop(name))


class Administrator:
    """Makes databases of one test after the other over one connection, on an event loop of its own: tests come and go with theirs."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._engine = create_engine(server.admin_url, application_name="daicho-test", pool_size=1)
        self._loop = asyncio.new_event_loop()

    @contextmanager
    def cloned(self, template: str) -> Iterator[str]:
        """Give the URL of a database of the test's own; not to be used while another loop runs."""
        name = f"test_{uuid4().hex}"
        self._execute(_clone(name, template))
        try:
            yield self._server.url(name)
        finally:
            self._execute(_drop(name))

    def close(self) -> None:
        """End the connection."""
        self._loop.run_until_complete(self._engine.dispose())
        self._loop.close()

    def _execute(self, statement: str) -> None:
        self._loop.run_until_complete(_execute_on(self._engine, statement))


@asynccontextmanager
async def connected(url: str, pool_size: int = 5, **options: Any) -> AsyncIterator[AsyncEngine]:
    """Give an engine, in autocommit unless it is told otherwise, and dispose of it."""
    engine = create_engine(url, application_name="daicho-test", pool_size=pool_size, **options)
    try:
        yield engine
    finally:
        await engine.dispose()


def _clone(name: str, template: str) -> str:
    return f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"


def _drop(name: str) -> str:
    return f"DROP DATABASE {name} WITH (FORCE)"


async def _execute(server: Server, statement: str) -> None:
    async with connected(server.admin_url, 1) as engine:
        await _execute_on(engine, statement)


async def _execute_on(engine: AsyncEngine, statement: str) -> None:
    async with engine.connect() as connection:
        await connection.execute(text(statement))
