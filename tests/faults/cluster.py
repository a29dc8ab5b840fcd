"""The system under test: a PostgreSQL of its own that keeps what it was told to keep (fsync), and two of each service.

Each service reaches PostgreSQL through a proxy of its own. One that ends is started again, as an init system would.
"""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
from sqlalchemy import text

from command_service.postgres_store import PostgresEventStore
from daicho.embedded_postgres import EmbeddedPostgres, _in_thread
from daicho.ledger import service_urls
from daicho.migrate import migrate
from shared.database import DRIVER_ERRORS, AnyRow
from tests.faults.standby import StandbyPostgres, of_all
from tests.support.databases import connected
from tests.support.orders import append_orders
from tests.support.processes import Process, free_port
from tests.support.proxy import Proxy, proxied
from tests.support.waiting import wait_until

MAX_CONNECTIONS = 120
_ORDERS_BEFORE = 1500
"""Placed before the run, so that a rebuild takes its time."""
_DATABASE = "daicho"
_CONFIGURATION = f"""
max_connections = {MAX_CONNECTIONS}
shared_buffers = '64MB'
fsync = on
synchronous_commit = on
full_page_writes = on
jit = off
unix_socket_permissions = 0700
"""
_SETTINGS = {
    "DAICHO_COMMAND_DEADLINE": "3",
    "DAICHO_PROJECTION_BATCH": "50",
    "DAICHO_HEARTBEAT": "1",
    "DAICHO_REFRESH_SECONDS": "1",
    "DAICHO_REBUILD_PROCESSES": "1",
}


@dataclass(frozen=True, slots=True)
class Build:
    """What is run: the services' app factories, statements run on the database before them, and a standby or none."""

    command: str = "command_service.main:create"
    query: str = "query_service.main:create"
    statements: Sequence[str] = ()
    standby: Literal["none", "synchronous", "asynchronous"] = "none"


@dataclass(slots=True)
class Replica:
    """A service's process, and its way to PostgreSQL; `tries` is how often it was started."""

    name: str
    process: Process
    proxy: Proxy
    is_wanted: bool = True
    tries: int = 0

    async def keep_running(self) -> None:
        """Start it, again and again, until it is no longer wanted."""
        while self.is_wanted:
            await self.process.launch()
            self.tries += 1
            assert self.process.process is not None
            await self.process.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its process, if it runs."""
        process = self.process.process
        if process is not None and process.returncode is None:
            process.send_signal(number)

    def stop(self) -> None:
        """Have it end, in its own time; `keep_running` returns then."""
        self.is_wanted = False
        self.signal(signal.SIGTERM)


class Cluster:
    """PostgreSQL and the services, with what the nemesis needs to get at them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder, _CONFIGURATION)
        self.replicas: Mapping[str, Sequence[Replica]] = {}
        self.standby = StandbyPostgres(folder / "standby", self.postgres)
        self.baseline = 0
        self.url = ""
        """The database's URL, past the proxies, for its superuser; with a standby, that of both."""

    async def query(self, statement: str, **parameters: Any) -> Sequence[AnyRow]:
        """Run a statement as superuser, on a connection of its own."""
        async with connected(self.url, 1) as engine, engine.connect() as connection:
            result = await connection.execute(text(statement), parameters)
            return result.all() if result.returns_rows else ()

    async def query_or_nothing(self, statement: str, **parameters: Any) -> Sequence[AnyRow]:
        """Run a statement as `query` does; nothing is found while PostgreSQL is away."""
        try:
            return await self.query(statement, **parameters)
        except DRIVER_ERRORS:
            return ()

    async def is_current(self) -> bool:
        """Tell whether the read models have come to where the run begins."""
        query = "SELECT min(position) AS position FROM read_model.checkpoints"
        return bool((await self.query(query))[0].position >= self.baseline)

    async def is_up(self) -> bool:
        """Tell whether PostgreSQL takes connections."""
        return bool(await self.query_or_nothing("SELECT 1"))

    async def start_postgres(self) -> None:
        """Start it again, and wait until it takes connections."""
        await _in_thread(self.postgres.start)
        await wait_until(self.is_up, "PostgreSQL takes connections", 60)

    async def stop_postgres(self) -> None:
        """Stop it as an operator would; open transactions are rolled back."""
        await _in_thread(self.postgres.stop)
        await _in_thread(self.standby.stop)

    async def kill_postgres(self) -> None:
        """End all of its processes with SIGKILL."""
        postmaster = psutil.Process(int((self.folder / "postgres" / "postmaster.pid").read_text().split()[0]))
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # Backends end by themselves once the postmaster is gone.
                process.kill()
        await wait_until(lambda: _are_gone(processes), "PostgreSQL's processes are gone")

    async def make_database(self, build: Build) -> Mapping[str, Sequence[str]]:
        """Make the database with some orders in it, and its standby; give each service's URLs, one for each server."""
        await _in_thread(self.postgres.start)
        async with connected(self.postgres.url("postgres"), 1) as engine, engine.connect() as connection:
            await connection.execute(text(f"CREATE DATABASE {_DATABASE}"))
        self.url = self.postgres.url(_DATABASE)
        await migrate(self.url, self.url)
        async with connected(self.url) as engine:
            self.baseline = await append_orders(PostgresEventStore(engine), _ORDERS_BEFORE)
        for statement in build.statements:
            await self.query(statement)
        for_commands, for_queries = await service_urls(self.postgres)
        if build.standby == "none":
            return {"command": [for_commands], "query": [for_queries]}
        await self._make_standby(is_synchronous=build.standby == "synchronous")
        self.url = of_all([self.url, self.standby.url(_DATABASE)])
        return {
            "command": [for_commands, self.standby.url(_DATABASE, "daicho_command")],
            "query": [for_queries, self.standby.url(_DATABASE, "daicho_query")],
        }

    async def _make_standby(self, *, is_synchronous: bool) -> None:
        await _in_thread(self.standby.start)

        async def is_streaming() -> bool:
            return bool(await self.query("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"))

        await wait_until(is_streaming, "the standby streams", 60)
        if is_synchronous:
            await self.query(f"ALTER SYSTEM SET synchronous_standby_names = '{self.standby.name}'")
            await self.query("SELECT pg_reload_conf()")

            async def is_waited_for() -> bool:
                return bool(await self.query("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"))

            await wait_until(is_waited_for, "commits wait for the standby", 60)

    async def stop(self, kind: str) -> None:
        """Stop the services of a kind, and wait until they have ended."""
        for replica in self.replicas[kind]:
            replica.stop()
        await wait_until(lambda: _have_ended(self.replicas[kind]), f"the {kind} services have stopped", 60)

    def outputs(self) -> str:
        """Give the ends of what the services have written."""
        return "\n".join(f"--- {file.name}\n{_end(file)}" for file in sorted(self.folder.glob("*.log")))


@asynccontextmanager
async def cluster(build: Build) -> AsyncIterator[Cluster]:
    """Run all of it while this lasts."""
    folder = Path(tempfile.mkdtemp(prefix="daicho-faults-"))
    running = Cluster(folder)
    try:
        urls = await running.make_database(build)
        async with AsyncExitStack() as stack:
            running.replicas = {
                "command": [
                    await _replica(stack, "command", n, build.command, urls["command"], folder) for n in (1, 2)
                ],
                "query": [await _replica(stack, "query", n, build.query, urls["query"], folder) for n in (1, 2)],
            }
            tasks = [asyncio.create_task(one.keep_running()) for kind in running.replicas.values() for one in kind]
            try:
                for kind in running.replicas.values():
                    for replica in kind:
                        await wait_until(replica.process.is_ready, f"{replica.name} is ready", 90)
                await wait_until(running.is_current, "the read models are current", 90)
                yield running
            finally:
                for kind in running.replicas.values():
                    for replica in kind:
                        replica.is_wanted = False
                        replica.signal(signal.SIGKILL)
                await asyncio.gather(*tasks)
    finally:
        await running.stop_postgres()
        shutil.rmtree(folder)


async def _replica(
    stack: AsyncExitStack, kind: str, number: int, factory: str, urls: Sequence[str], folder: Path
) -> Replica:
    proxies = [await stack.enter_async_context(proxied(url)) for url in urls]
    name = f"{kind}-{number}"
    environment = {**_SETTINGS, "DAICHO_DATABASE_URL": of_all([proxy.url for proxy in proxies])}
    process = Process(factory, free_port(), environment, output=folder / f"{name}.log")
    return Replica(name, process, proxies[0])


async def _are_gone(processes: Sequence[psutil.Process]) -> bool:
    """Tell whether they have been reaped, too: while one is a zombie, PostgreSQL takes it for another server."""
    return not any(process.is_running() for process in processes)


async def _have_ended(replicas: Sequence[Replica]) -> bool:
    return all(one.process.process is not None and one.process.process.returncode is not None for one in replicas)


def _end(file: Path) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-40:])
