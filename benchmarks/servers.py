"""The measured processes: one uvicorn worker each, on a PostgreSQL with durable settings."""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
from sqlalchemy import text

from daicho.embedded_postgres import EmbeddedPostgres
from daicho.migrate import migrate
from shared.database import create_engine


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
    await execute(server.url("postgres"), f"CREATE DATABASE {name}")
    await migrate(server.url(name), server.url(name))
    return server.url(name)


async def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run one statement in autocommit; give its rows."""
    engine = create_engine(url, application_name="daicho-bench", pool_size=1)
    try:
        async with engine.connect() as connection:
            result = await connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        await engine.dispose()


@asynccontextmanager
async def app(factory: str, environment: Mapping[str, str], ready: str) -> AsyncIterator[str]:
    """Run an app as its own process; give its URL once `ready` answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", "--factory", factory, "--port", str(port), "--no-access-log",
        "--log-level", "warning", env={**os.environ, **environment},
    )  # fmt: skip
    try:
        await _wait_ready(f"http://127.0.0.1:{port}{ready}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _wait_ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with httpx.AsyncClient() as http:
        for _ in range(300):
            if process.returncode is not None:
                raise RuntimeError(f"the app ended with code {process.returncode}")
            try:
                await http.get(url)
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                return
    raise RuntimeError(f"{url} does not answer")
