"""`daicho up`: one command runs everything, keeps it running, and ends it with nothing left behind."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.apps import ORDER
from tests.support.processes import free_port
from tests.support.up import Up, running
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.walks,
    pytest.mark.timeout(180),
    pytest.mark.skipif("DAICHO_DATABASE_URL" in os.environ, reason="is about the embedded PostgreSQL"),
]


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


async def test_its_dashboard_may_send_commands_whichever_name_of_loopback_it_was_opened_by(data_dir: Path) -> None:
    up = Up(data_dir, free_port(), free_port())
    async with running(up), httpx.AsyncClient() as http:
        page = await http.get(f"{up.queries}/")
        assert f"connect-src 'self' {up.commands};" in page.headers["content-security-policy"]
        for origin in (up.queries, up.queries.replace("127.0.0.1", "localhost")):
            placed = await http.post(f"{up.commands}/orders", json=ORDER, headers={"Origin": origin})
            assert placed.headers["access-control-allow-origin"] == origin


async def test_what_dies_is_started_again(data_dir: Path) -> None:
    up = Up(data_dir, free_port(), free_port())
    async with running(up) as processes:
        services = [process for process in processes if process.cmdline()[-1].endswith("_service")]
        postmaster = next(process for process in processes if process.name() == "postgres")
        assert len(services) == 2
        for victim in (*services, postmaster):
            victim.kill()
            await wait_until(lambda victim=victim: _gone(victim), "the killed process is gone")  # type: ignore[misc]
            await wait_until(up.ready, "everything is ready again", 60)
        async with httpx.AsyncClient(timeout=30) as http:
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
    assert f"`daicho up` or `daicho demo` is running on {data_dir}" in output


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DAICHO_COMMAND_PORT", "eighty"), ("DAICHO_QUERY_PORT", "1"), ("DAICHO_PROJECTION_BATCH", "0"),
        ("DAICHO_QUEUE_COMMITS", "x"), ("DAICHO_LISTEN_DATABASE_URL", "nonsense"),
    ],
)  # fmt: skip
async def test_a_bad_setting_is_named(data_dir: Path, name: str, value: str) -> None:
    up = Up(data_dir, 1, 2)
    up.environment[name] = value
    await up.start()
    code, output = await up.output_when_ended()
    assert (code, output.split(":")[0], output.count("\n")) == (2, name, 1)


async def test_a_service_names_a_bad_setting_too() -> None:
    for service in ("command", "query"):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"{service}_service",
            env={**os.environ, "DAICHO_DATABASE_URL": "nonsense"}, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, errors = await process.communicate()
        assert (process.returncode, errors.decode().split(":")[0]) == (2, "DAICHO_DATABASE_URL")


async def test_an_address_of_no_machine_is_named(data_dir: Path) -> None:
    up = Up(data_dir, free_port(), free_port())
    up.environment["DAICHO_HOST"] = "no.such.host.invalid"
    await up.start()
    code, output = await up.output_when_ended()
    assert (code, output.startswith("daicho: cannot listen on no.such.host.invalid")) == (1, True)


async def test_an_address_that_others_reach_needs_identity(data_dir: Path) -> None:
    up = Up(data_dir, free_port(), free_port())
    up.environment["DAICHO_HOST"] = "0.0.0.0"
    await up.start()
    code, output = await up.output_when_ended()
    assert (code, output.count("\n")) == (2, 1)
    assert output.startswith("DAICHO_HOST: 0.0.0.0 is not loopback")
    assert not (data_dir / "postgres").exists()


async def test_an_unreachable_server_is_a_clear_message(data_dir: Path) -> None:
    up = Up(data_dir, free_port(), free_port())
    up.environment["DAICHO_DATABASE_URL"] = "postgresql://user:secret@127.0.0.1:1/none"
    await up.start()
    code, output = await up.output_when_ended()
    assert (code, output.startswith("daicho: the database cannot be reached: ")) == (1, True)
    assert "secret" not in output


async def _gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
