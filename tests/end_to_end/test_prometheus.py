"""Prometheus is told what the dashboard and the alerts that are committed ask for: their queries, run against both services."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.apps import ORDER
from tests.support.dashboards import Asked, of_alerts, of_dashboard
from tests.support.metrics import IS_INSTALLED, WHY_NOT, Prometheus, prometheus
from tests.support.processes import Process, service
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.walks, pytest.mark.skipif(not IS_INSTALLED, reason=WHY_NOT)]

PAUSE = 0.02


@asynccontextmanager
async def traffic(commands: Process, queries: Process) -> AsyncIterator[None]:
    """Have orders come, in bulk too, and be read, while this lasts."""

    async def send() -> None:
        async with httpx.AsyncClient(timeout=30) as http:
            while True:
                placed = await http.post(f"{commands.url}/orders", json=ORDER)
                where, seen = placed.headers["Location"], {"Event-Position": placed.headers["Event-Position"]}
                await http.post(f"{commands.url}{where}/confirm")
                await http.post(f"{commands.url}{where}/confirm")
                await http.post(
                    f"{commands.url}/orders/batch", content=b"{}", headers={"Content-Type": "application/x-ndjson"}
                )
                for _ in range(2):
                    await http.get(f"{queries.url}{where}", headers=seen)
                await asyncio.sleep(PAUSE)

    sending = asyncio.create_task(send())
    try:
        yield
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending


async def test_each_query_of_dashboard_and_alerts_is_answered(database: str, tmp_path: Path) -> None:
    async with service("command", database) as commands, service("query", database) as queries:
        targets = {"daicho-command": commands.url, "daicho-query": queries.url}
        async with prometheus(tmp_path, targets) as asking, traffic(commands, queries):
            await wait_until(asking.is_ready, "Prometheus is ready")
            for one in of_dashboard():
                await wait_until(lambda one=one: _is_answered(asking, one), f"{one.name}: {one.query}")  # type: ignore[misc]
            for name, chosen in {(name, frozenset(chosen)) for one in of_alerts() for name, chosen in one.metrics()}:
                found = await asking.ask(name)
                assert found, name
                assert all(chosen <= series["metric"].keys() for series in found), name
            await wait_until(lambda: _are_evaluated(asking), "the alerts are evaluated")
            rules = await asking.rules()
    assert {rule["health"] for rule in rules} == {"ok"}, [rule.get("lastError") for rule in rules]
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
    assert len(rules) == len(of_alerts())


async def _is_answered(asking: Prometheus, asked: Asked) -> bool:
    """Tell whether there is a number, and all labels by which it is told."""
    found = await asking.ask(asked.query.replace("$__rate_interval", "10s"))
    numbers = [float(series["value"][1]) for series in found]
    labels = {label for series in found for label in series["metric"]}
    return any(map(math.isfinite, numbers)) and asked.labels <= labels


async def _are_evaluated(asking: Prometheus) -> bool:
    return all(rule["health"] != "unknown" for rule in await asking.rules())
