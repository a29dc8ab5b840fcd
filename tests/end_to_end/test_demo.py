"""`daicho demo`: realistic orders for services that run, or that it runs; it ends when it is over, or told to."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.processes import free_port
from tests.support.up import Up, running
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.walks,
    pytest.mark.timeout(180),
    pytest.mark.skipif("DAICHO_DATABASE_URL" in os.environ, reason="is about the embedded PostgreSQL"),
]

SUMMARY = re.compile(
    r"(\d+) placed · (\d+) confirmed · (\d+) shipped · (\d+) cancelled · (\d+) repeated · (\d+) refused · (\d+) put off, in \d+ s\n"
)


async def start(up: Up, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daicho", "demo", *arguments,
        env=up.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    output, _ = await process.communicate()
    return process.returncode, output.decode()


def counts(output: str) -> list[int]:
    found = SUMMARY.search(output)
    assert found is not None, output
    return [int(number) for number in found.groups()]


async def statistics(up: Up, position: int = 0) -> dict[str, Any]:
    async with httpx.AsyncClient() as http:
        headers = {"Event-Position": str(position), "Prefer": "wait=30"}
        answer = await http.get(f"{up.queries}/statistics", headers=headers)
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content


@pytest.fixture
async def up(data_dir: Path) -> AsyncIterator[Up]:
    one = Up(data_dir, free_port(), free_port())
    async with running(one):
        yield one


async def test_running_services_get_the_orders_and_stay(up: Up) -> None:
    code, output = await ended(await start(up, "--rate", "20", "--orders", "30", "--seed", "15"))
    assert code == 0, output
    assert "Ctrl-C stops" not in output, "it runs nothing itself"
    placed, confirmed, shipped, cancelled, repeated, refused, _ = counts(output)
    assert (placed, repeated, refused) == (30, 1, 5)
    assert shipped + cancelled == 30
    by_status = {
        row["status"]: row["count"]
        for row in (await statistics(up, placed + confirmed + shipped + cancelled))["by_status"]
    }
    assert (by_status["shipped"], by_status["cancelled"]) == (shipped, cancelled)
    assert by_status["pending"] == by_status["confirmed"] == 0
    assert await up.ready()


async def test_ctrl_c_ends_traffic_with_a_summary(up: Up) -> None:
    process = await start(up, "--rate", "50", "--command-url", up.commands)

    async def some() -> bool:
        return bool((await statistics(up))["total_count"] > 20)

    await wait_until(some, "orders are placed")
    process.send_signal(signal.SIGINT)
    code, output = await ended(process)
    assert code == 0, output
    placed, confirmed, shipped, cancelled, *_ = counts(output)
    now = await statistics(up, placed + confirmed + shipped + cancelled)
    assert now["total_count"] == placed, "what was under way was answered, and counted"
    assert await up.ready()


@pytest.mark.load
async def test_it_runs_everything_where_nothing_runs(data_dir: Path) -> None:
    demo = Up(data_dir, free_port(), free_port(), "demo", "--rate", "50", "--backfill", "200", "--months", "1")
    async with running(demo):

        async def live() -> bool:
            return bool((await statistics(demo))["total_count"] > 220)

        await wait_until(live, "history is there, and live orders come", 60)
    again = Up(data_dir, free_port(), free_port(), "demo", "--backfill", "5")
    await again.start()
    code, output = await again.output_when_ended()
    assert (code, "and history comes before all else: leave --backfill out" in output) == (1, True), output
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://[", ""])
async def test_a_url_without_a_command_service_is_a_clear_message(data_dir: Path, url: str) -> None:
    one = Up(data_dir, free_port(), free_port())
    code, output = await ended(await start(one, "--command-url", url))
    assert (code, output) == (1, f"daicho: no command service answers at {url}: `daicho up` runs one\n")


async def test_the_query_service_is_no_command_service(up: Up) -> None:
    code, output = await ended(await start(up, "--command-url", up.queries))
    assert (code, output) == (1, f"daicho: no command service answers at {up.queries}: `daicho up` runs one\n")
