"""The README's own commands do what it says, in its order, against what `make up` runs; its other requests are answered."""

import asyncio
import json
import os
import re
import shutil
from pathlib import Path

import httpx
import pytest

from tests.support.processes import free_port
from tests.support.up import Up, running
from tests.support.walkthrough import ROOT, walking

README = (ROOT / "README.md").read_text(encoding="utf-8")
REQUEST = re.compile(r"`GET (/[^`]*)`")

pytestmark = [
    pytest.mark.walks,
    pytest.mark.timeout(180),
    pytest.mark.skipif("DAICHO_DATABASE_URL" in os.environ, reason="is about the embedded PostgreSQL"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl"),
]


async def test_its_requests_place_confirm_ship_and_read_an_order(data_dir: Path) -> None:
    up = Up(data_dir, free_port(), free_port())
    instead = {"http://127.0.0.1:8001": up.commands, "http://127.0.0.1:8002": up.queries}
    async with running(up), walking({}, instead) as walk:
        placed, changed, read, *past = await walk.through(README)
        assert placed.startswith("HTTP/1.1 201 ")
        assert changed.count("HTTP/1.1 200 ") == 2
        assert '"tracking_number":"1234-5678"' in read
        history, as_it_was = map(json.loads, "".join(past).replace("}{", "}\n{").splitlines())
        assert [event["event_type"] for event in history["items"]] == ["OrderPlaced", "OrderConfirmed", "OrderShipped"]
        assert as_it_was["status"] == "confirmed"
        await _ask_the_rest(up, history["items"][-1])


async def _ask_the_rest(up: Up, event: dict[str, str]) -> None:
    """Ask whatever else the README names, about the order of this event."""
    paths = [
        path.replace("{order_id}", event["aggregate_id"])
        .replace("…", event["aggregate_id"])
        .replace("TIME", event["occurred_at"])
        for path in REQUEST.findall(README)
    ]
    assert len(paths) > 10
    async with httpx.AsyncClient(base_url=up.queries) as http, asyncio.timeout(30):
        for path in paths:
            async with http.stream("GET", path) as answer:
                assert answer.status_code == 200, path
    async with httpx.AsyncClient(base_url=up.commands) as http:
        for path in ("/openapi.json", "/health/ready"):
            assert (await http.get(path)).status_code == 200
