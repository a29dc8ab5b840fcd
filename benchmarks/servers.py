"""The measured processes: one uvicorn worker each, on a PostgreSQL with durable settings."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import httpx
from sqlalchemy import text

from daicho.embedded_postgres import EmbeddedPostgres
from daicho.migrate import migrate
from shared.database import create_engine
from shared.process import die_with_parent

_BOUNDED = ("--http", "shared.web.http_protocol:BoundedHttp")
"""How `daicho up` runs the services."""


@contextmanager
def postgres() -> Iterator[EmbeddedPostgres]:
    """Give a PostgreSQL as `daicho up` runs it; `fsync` and `synchronous_commit` are on."""
    folder = Path(tempfile.mkdtemp(prefix="daicho-bench-"))
    server = EmbeddedPostgres(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


async def fresh_database(server: EmbeddedPostgres, name: str) -> str:
    """Make a migrated database; give its URL."""
    await empty_database(server, name)
    await migrate(server.url(name), server.url(name))
    return server.url(name)


async def empty_database(server: EmbeddedPostgres, name: str) -> str:
    """Make a database with nothing in it; give its URL."""
    await execute(server.url("postgres"), f"CREATE DATABASE {name}")
    return server.url(name)


async def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run one statement in autocommit; give its rows."""
    engine = create_engine(url, application_name="daicho-bench", pool_size=1, statement_timeout=None)
    try:
        async with engine.connect() as connection:
            result = await connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        await engine.dispose()


async def number(url: str, query: str) -> float:
    """Give the one number that a query finds."""
    ((value,),) = await execute(url, query)
    return float(str(value))


@asynccontextmanager
async def service(
    name: str, environment: Mapping[str, str], profiles: Path | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Run the command or the query service; give its URL and its process id."""
    factory = f"{name}_service.main:create"
    async with _process(factory, environment, "/health/ready", _BOUNDED) as (url, pid), _profiled(name, pid, profiles):
        yield url, pid


@asynccontextmanager
async def app(factory: str, environment: Mapping[str, str]) -> AsyncIterator[str]:
    """Run another app; give its URL once it answers anything."""
    async with _process(factory, environment, "/none", ()) as (url, _):
        yield url


@asynccontextmanager
async def several(name: str, count: int, environment: Mapping[str, str]) -> AsyncIterator[list[str]]:
    """Run so many processes of a service; give their URLs."""
    async with AsyncExitStack() as stack:
        yield [(await stack.enter_async_context(service(name, environment)))[0] for _ in range(count)]


@asynccontextmanager
async def _process(
    factory: str, environment: Mapping[str, str], ready: str, options: tuple[str, ...]
) -> AsyncIterator[tuple[str, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", "--factory", factory, "--port", str(port), "--no-access-log",
        "--log-level", "warning", *options, env={**os.environ, **environment},
        preexec_fn=die_with_parent,
    )  # fmt: skip
    try:
        await _wait_ready(f"http://127.0.0.1:{port}{ready}", process)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


@asynccontextmanager
async def _profiled(name: str, pid: int, profiles: Path | None) -> AsyncIterator[None]:
    """Have py-spy write a profile of the process for speedscope, if there is a folder for it."""
    if profiles is None:
        yield
        return
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if spy is None:
        raise RuntimeError("py-spy is not installed; `make bench` installs it")
    profiles.mkdir(parents=True, exist_ok=True)
    output = profiles / f"{name}-{pid}.speedscope.json"
    command = (spy, "record", "--pid", str(pid), "--format", "speedscope", "--output", str(output), "--rate", "200")
    process = await asyncio.create_subprocess_exec(*command, "--nonblocking", "--duration", "unlimited")
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()
        print(f"  profile: {output}")


async def _wait_ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with httpx.AsyncClient() as http:
        for _ in range(600):
            if process.returncode is not None:
                raise RuntimeError(f"the app ended with code {process.returncode}")
            try:
                answer = await http.get(url)
            except httpx.TransportError:
                pass
            else:
                if url.endswith("/none") or answer.is_success:
                    return
            await asyncio.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")
