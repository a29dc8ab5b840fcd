"""`daicho` commands on one data directory at once, and told to end: they share PostgreSQL, and leave nothing behind."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.apps import ORDER
from tests.support.processes import free_port
from tests.support.up import Up
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.walks,
    pytest.mark.timeout(180),
    pytest.mark.skipif("DAICHO_DATABASE_URL" in os.environ, reason="is about the embedded PostgreSQL"),
]


@pytest.fixture(autouse=True)
def hangup_counts() -> Iterator[None]:
    """Under nohup, which children inherit, it would not."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


async def start(data_dir: Path, *arguments: str, start_new_session: bool = False) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daicho", *arguments, start_new_session=start_new_session,
        env={**os.environ, "DAICHO_DATA_DIR": str(data_dir)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    _, errors = await process.communicate()
    return process.returncode, errors.decode()


def assert_postgres_is_down(data_dir: Path) -> None:
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


async def test_commands_at_once_share_one_server(data_dir: Path) -> None:
    """None makes the cluster or the database twice, none stops the server while another uses it."""
    migrations = [await start(data_dir, "migrate") for _ in range(3)]
    assert [(await ended(process))[0] for process in migrations] == [0, 0, 0]
    assert_postgres_is_down(data_dir)
    commands = [await start(data_dir, *arguments) for arguments in (["verify"], ["snapshots", "status"], ["verify"])]
    results = [await ended(process) for process in commands]
    assert [code for code, _ in results] == [0, 0, 0], results
    assert_postgres_is_down(data_dir)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_command_told_to_end_stops_its_server(data_dir: Path, number: signal.Signals) -> None:
    assert (await ended(await start(data_dir, "migrate")))[0] == 0
    process = await start(data_dir, "events", "--follow")
    assert process.stderr is not None
    assert b"starting PostgreSQL" in await process.stderr.readline()
    process.send_signal(number)
    code, errors = await ended(process)
    assert (code, errors) == (128 + number, "")
    assert_postgres_is_down(data_dir)


async def test_the_last_one_out_stops_the_server(data_dir: Path) -> None:
    """Even when `daicho up` goes before it."""
    up = Up(data_dir, free_port(), free_port())
    serving = await up.start()
    await wait_until(up.ready, "both services are ready", 60)
    following = await start(data_dir, "events", "--follow", "--json")
    async with httpx.AsyncClient() as http:
        assert (await http.post(f"{up.commands}/orders", json=ORDER)).status_code == 201
    assert following.stdout is not None
    async with asyncio.timeout(30):
        assert json.loads(await following.stdout.readline())["position"] == 1
    serving.send_signal(signal.SIGTERM)
    code, output = await up.output_when_ended()
    assert (code, "PostgreSQL goes on" in output) == (0, True)
    assert await ended(await start(data_dir, "verify")) == (0, "")
    following.send_signal(signal.SIGTERM)
    assert await ended(following) == (128 + signal.SIGTERM, "")
    assert_postgres_is_down(data_dir)


async def test_a_command_that_is_killed_leaves_the_server_to_the_next(data_dir: Path) -> None:
    assert (await ended(await start(data_dir, "migrate")))[0] == 0
    process = await start(data_dir, "events", "--follow", "--json", "--last", "0")
    pid_file = data_dir / "postgres" / "postmaster.pid"

    async def is_up() -> bool:
        return pid_file.exists() and "ready" in pid_file.read_text()

    await wait_until(is_up, "PostgreSQL is up", 60)
    process.kill()
    await ended(process)
    assert (await ended(await start(data_dir, "verify")))[0] == 0
    assert_postgres_is_down(data_dir)


async def test_a_data_directory_of_someone_else_is_a_clear_message(data_dir: Path) -> None:
    (data_dir / "file").write_text("")
    code, errors = await ended(await start(data_dir / "file", "migrate"))
    assert code == 1
    assert errors.splitlines()[-1].startswith(f"daicho: {data_dir / 'file'} cannot hold the ledger: File exists")


@pytest.mark.skipif("os.geteuid() != 0", reason="is about what root may do")
async def test_root_leaves_the_ledger_of_another_user_alone(data_dir: Path) -> None:
    assert (await ended(await start(data_dir, "migrate")))[0] == 0
    cluster = data_dir / "postgres"
    os.chown(cluster, 1, 1)
    code, errors = await ended(await start(data_dir, "verify"))
    assert (code, f"the ledger in {data_dir} belongs to {cluster.owner()}: run this as" in errors) == (1, True)
    assert cluster.stat().st_uid == 1


async def test_ctrl_c_again_and_again_ends_up_all_the_same(data_dir: Path) -> None:
    """Ctrl-C reaches every process of the terminal's group, PostgreSQL's programs too."""
    up = Up(data_dir, free_port(), free_port())
    process = await up.start(start_new_session=True)
    await wait_until(up.ready, "both services are ready", 60)
    stopping = asyncio.create_task(up.output_when_ended())
    while not stopping.done():
        os.killpg(process.pid, signal.SIGINT)
        await asyncio.wait([stopping], timeout=0.1)
    code, output = stopping.result()
    # The last one may come when it has nothing left to do.
    assert (code in {0, -signal.SIGINT}, "Traceback" in output) == (True, False), output
    assert_postgres_is_down(data_dir)


async def test_ctrl_c_while_the_cluster_is_made_leaves_no_mess(data_dir: Path) -> None:
    process = await start(data_dir, "migrate", start_new_session=True)
    assert process.stderr is not None
    assert b"starting PostgreSQL" in await process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)
    assert await ended(process) == (130, "")
    assert (await ended(await start(data_dir, "migrate")))[0] == 0
