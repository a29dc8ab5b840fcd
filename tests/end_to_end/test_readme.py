"""The README's own commands do what it says, in its order, against what `make up` runs."""

import asyncio
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import free_port
from tests.support.up import Up, running

README = Path(__file__).parents[2] / "README.md"

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif("DAICHO_DATABASE_URL" in os.environ, reason="is about the embedded PostgreSQL"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl"),
]


async def test_its_requests_place_confirm_ship_and_read_an_order(data_dir: Path) -> None:
    up = Up(data_dir, free_port(), free_port())
    text = README.read_text(encoding="utf-8")
    text = text.replace("http://127.0.0.1:8001", up.commands).replace("http://127.0.0.1:8002", up.queries)
    commands = [command for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for command in split(block)]
    shown = [json.loads(line) for line in re.findall(r'^\{"order_id": .*\}$', text, re.MULTILINE)]
    async with running(up):
        answers = [await answer(command) for command in commands]
    assert [status for status, _ in answers] == [201, 200, 200, 200, None, None]
    assert [body.get("status") for _, body in answers] == [
        "pending",
        "confirmed",
        "shipped",
        "shipped",
        None,
        "confirmed",
    ]
    assert [event["event_type"] for event in answers[4][1]["items"]] == [
        "OrderPlaced",
        "OrderConfirmed",
        "OrderShipped",
    ]
    assert answers[0][1] == shown[0]
    assert answers[3][1]["tracking_number"] == "1234-5678"


def split(block: str) -> list[str]:
    """Give the commands of a block, each of which starts a line with curl."""
    return [f"curl{command}" for command in re.split(r"^curl", block, flags=re.MULTILINE)[1:]]


async def answer(command: str) -> tuple[int | None, dict[str, Any]]:
    """Run a command; give the status, where it shows one, and the body."""
    process = await asyncio.create_subprocess_shell(
        command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output = (await process.communicate())[0].decode().replace("\r", "")
    head, _, body = output.rpartition("\n\n")
    content: dict[str, Any] = json.loads(body)
    return int(head.split()[1]) if head else None, content
