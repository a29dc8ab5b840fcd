"""`daicho up`: one command runs everything, keeps it running, and ends it with nothing left behind."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.apps import ORDER
from tests.support.processes import free_port
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif("DAICHO_DATABASE_URL" in os.environ, reason="is about the embedded PostgreSQL"),
]


class Up:
    """A running `daicho up`."""

    def __init__(self, data_dir: Path, command_port: int, query_port: int) -> None:
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

    async def start(self) -> asyncio.subprocess.Process:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "daicho", "up",
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
        async with httpx.AsyncClient() as http:
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


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="daicho-up-"))
    yield folder
    shutil.rmtree(folder)


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


async def test_it_starts_stops_and_carries_on_where_it_was(data_dir: Path) -> None:
    up = Up(data_dir, free_port(), free_port())
    async with running(up, signal.SIGINT), httpx.AsyncClient() as http:
        placed = await http.post(f"{up.commands}/orders", json=ORDER)
        assert placed.status_code == 201
    async with running(up, signal.SIGTERM), httpx.AsyncClient() as http:
        position = {"Event-Position": placed.headers["Event-Position"]}
        read = await http.get(f"{up.queries}{placed.headers['Location']}", headers=position)
        assert read.json()["total_amount"] == "73.00"
        assert (await http.post(f"{up.commands}/orders", json=ORDER)).json()["position"] == 2


async def test_what_dies_is_started_again(data_dir: Path) -> None:
    up = Up(data_dir, free_port(), free_port())
    async with running(up) as processes:
        services = [process for process in processes if "uvicorn" in process.cmdline()]
        postmaster = next(process for process in processes if process.name() == "postgres")
        assert len(services) == 2
        for victim in (*services, postmaster):
            victim.kill()
            await wait_until(lambda victim=victim: _gone(victim), "the killed process is gone")  # type: ignore[misc]
            await wait_until(up.ready, "everything is ready again", 60)
        async with httpx.AsyncClient() as http:
            assert (await http.post(f"{up.commands}/orders", json=ORDER)).status_code == 201


async def test_a_port_in_use_is_a_clear_message(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = Up(data_dir, free_port(), port)
        await up.start()
        code, output = await up.output_when_ended()
    assert code == 1
    assert (
        output
        == f"daicho: port {port} on 127.0.0.1 is in use: stop what listens there, or set DAICHO_QUERY_PORT to another port\n"
    )
    assert not (data_dir / "postgres").exists()


async def test_two_on_one_data_directory_is_a_clear_message(data_dir: Path) -> None:
    async with running(Up(data_dir, free_port(), free_port())):
        second = Up(data_dir, free_port(), free_port())
        await second.start()
        code, output = await second.output_when_ended()
    assert code == 1
    assert f"another daicho is running on {data_dir}" in output


@pytest.mark.parametrize("name", ["DAICHO_COMMAND_PORT", "DAICHO_QUERY_PORT"])
async def test_a_bad_setting_is_named(data_dir: Path, name: str) -> None:
    up = Up(data_dir, 1, 2)
    up.environment[name] = "eighty"
    await up.start()
    code, output = await up.output_when_ended()
    assert (code, output.split(":")[0]) == (2, name)


async def test_an_unreachable_server_is_a_clear_message(data_dir: Path) -> None:
    up = Up(data_dir, free_port(), free_port())
    up.environment["DAICHO_DATABASE_URL"] = "postgresql://user:secret@127.0.0.1:1/none"
    await up.start()
    code, output = await up.output_when_ended()
    assert (code, output) == (1, "daicho: the database cannot be reached\n")


async def _gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
