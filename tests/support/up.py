"""`daicho up`, or `daicho demo`, as a process, on free ports and a data directory of the test's own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil

from tests.support.http import plain_client
from tests.support.waiting import wait_until


class Up:
    """A running `daicho up`, or another command that runs everything."""

    def __init__(self, data_dir: Path, command_port: int, query_port: int, *arguments: str) -> None:
        self.arguments = arguments or ("up",)
        self.commands = f"http://127.0.0.1:{command_port}"
        self.queries = f"http://127.0.0.1:{query_port}"
        self.environment = {
            **os.environ,
            "DAICHO_DATA_DIR": str(data_dir),
            "DAICHO_COMMAND_PORT": str(command_port),
            "DAICHO_QUERY_PORT": str(query_port),
        }
        self.data_dir = data_dir
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, *, start_new_session: bool = False) -> asyncio.subprocess.Process:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "daicho", *self.arguments, start_new_session=start_new_session,
            env=self.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        return self.process

    async def output_when_ended(self) -> tuple[int | None, str]:
        assert self.process is not None
        output, _ = await self.process.communicate()
        return self.process.returncode, output.decode()

    async def ready(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, (await self.output_when_ended())[1]
        async with plain_client() as http:
            try:
                answers = [await http.get(f"{url}/health/ready") for url in (self.commands, self.queries)]
            except httpx.TransportError:
                return False
            return all(answer.is_success for answer in answers)

    def children(self) -> list[psutil.Process]:
        """Give the processes that belong to it: the services, and PostgreSQL with its own."""
        assert self.process is not None
        services = psutil.Process(self.process.pid).children(recursive=True)
        postmaster = psutil.Process(int((self.data_dir / "postgres" / "postmaster.pid").read_text().split()[0]))
        return [*services, postmaster, *postmaster.children(recursive=True)]


@asynccontextmanager
async def running(up: Up, number: signal.Signals = signal.SIGINT) -> AsyncIterator[list[psutil.Process]]:
    """Run it until ready; afterwards end it with a signal, and see that nothing is left."""
    process = await up.start()
    try:
        await wait_until(up.ready, "both services are ready", 60)
        yield up.children()
        left = up.children()
    finally:
        if process.returncode is None:
            process.send_signal(number)
    code, output = await up.output_when_ended()
    assert code == 0, output
    assert "stopping" in output
    assert not psutil.wait_procs(left, timeout=10)[1], "a process was left behind"
