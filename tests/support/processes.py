"""Services as real processes, on free ports of loopback."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from typer.testing import CliRunner

from daicho.cli import app
from tests.support.forked import Forked
from tests.support.http import plain_client
from tests.support.waiting import wait_until


@dataclass(slots=True)
class Process:
    """A service's process; `start` may follow `kill`. With `output`, that file gets what it writes.

    It is run as its package says, or, where `factory` is a function (`module:function`), by uvicorn's command line.
    `is_forked`: from a process that has imported it already.
    """

    factory: str
    port: int
    environment: Mapping[str, str]
    folder: Path | None = None
    output: Path | None = None
    is_forked: bool = False
    process: asyncio.subprocess.Process | Forked | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        await self.launch()
        await wait_until(self._ready, f"{self.factory} is ready", 60.0)

    async def launch(self) -> None:
        """Start it."""
        environment = {**os.environ, **self.environment}
        if self.is_forked:
            self.process = Forked(self._command(), environment, self.output)
            return
        with ExitStack() as stack:
            output = stack.enter_context(self.output.open("ab")) if self.output is not None else None
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *self._command(),
                env=environment, cwd=self.folder, stdout=output, stderr=output,
            )  # fmt: skip

    def _command(self) -> list[str]:
        if ":" in self.factory:
            flags = ["--port", str(self.port), "--no-access-log", "--log-level", "warning"]
            return ["uvicorn", "--factory", self.factory, "--http", "shared.web.http_protocol:BoundedHttp", *flags]
        return [self.factory]

    async def kill(self) -> None:
        """End it with SIGKILL."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int | None:
        """End it with SIGTERM; give its exit code."""
        return await self._end(signal.SIGTERM)

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait until it has ended; give its exit code."""
        assert self.process is not None
        async with asyncio.timeout(60):
            return await self.process.wait()

    async def _end(self, number: signal.Signals) -> int | None:
        if self.process is None:
            return None
        if self.process.returncode is None:
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)  # One that stands still is deaf to the first.
        return await self.process.wait()

    async def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, f"{self.factory} ended with code {self.process.returncode}"
        return await self.is_ready()

    async def is_ready(self) -> bool:
        """Tell whether it says that it is ready."""
        try:
            async with plain_client() as client:
                return (await client.get(f"{self.url}/health/ready")).is_success
        except httpx.TransportError:
            return False


def free_port() -> int:
    """Give a port of loopback on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def service(name: str, database: str, folder: Path | None = None, **settings: str) -> AsyncIterator[Process]:
    """Run `command` or `query` as a process on a database while this lasts; the code is that of `folder`."""
    async with _service(name, database, settings, folder) as process:
        yield process


@asynccontextmanager
async def logging_service(
    name: str, database: str, output: Path, settings: Mapping[str, str]
) -> AsyncIterator[Process]:
    """Run it as `service` does, and have what it writes in a file."""
    async with _service(name, database, settings, output=output) as process:
        yield process


@asynccontextmanager
async def _service(
    name: str, database: str, settings: Mapping[str, str], folder: Path | None = None, output: Path | None = None
) -> AsyncIterator[Process]:
    port = free_port()
    environment = {"DAICHO_DATABASE_URL": database, f"DAICHO_{name.upper()}_PORT": str(port), **settings}
    process = Process(f"{name}_service", port, environment, folder, output)
    try:
        await process.start()
        yield process
    finally:
        await process.stop()


async def daicho(database: str | None, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run a `daicho` command on a database, in a thread of this process; give its exit code and output."""
    settings = {"DAICHO_DATABASE_URL": database, "COLUMNS": "200", "DAICHO_REBUILD_PROCESSES": "1", **environment}
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=settings)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output
