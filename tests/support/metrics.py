"""Reading metrics as Prometheus does, and Prometheus itself, where it is installed."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.dashboards import PROMETHEUS
from tests.support.processes import free_port

IS_INSTALLED = shutil.which("prometheus") is not None and shutil.which("promtool") is not None
WHY_NOT = "there is no Prometheus: Debian has it as `prometheus`"


def families(text: str) -> dict[str, tuple[str, set[str]]]:
    """Give the kind and the labels of each metric, by its name."""
    found = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
    return found


def samples(text: str) -> dict[str, float]:
    """Give the values, by what they are of: a name, and its labels as JSON."""
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {f"{one.name}{json.dumps(one.labels) if one.labels else ''}": one.value for one in found}


class Prometheus:
    """One that runs; it is asked over HTTP."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def ask(self, query: str) -> list[dict[str, Any]]:
        """Give the series that a query has now."""
        answer = (await self._http.get("/api/v1/query", params={"query": query})).json()
        assert answer["status"] == "success", f"{query}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    async def rules(self) -> list[dict[str, Any]]:
        """Give the alerts, and how they do."""
        groups = (await self._http.get("/api/v1/rules")).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def is_ready(self) -> bool:
        try:
            return (await self._http.get("/-/ready")).is_success
        except httpx.TransportError:
            return False


@asynccontextmanager
async def prometheus(folder: Path, targets: Mapping[str, str]) -> AsyncIterator[Prometheus]:
    """Run one by the configuration that is committed, but for its haste; `targets` has a URL for each job."""
    shutil.copytree(PROMETHEUS, folder / "config")
    config, port = folder / "config" / "prometheus.yml", free_port()
    config.write_text(config.read_text().replace(": 15s", ": 500ms"))
    listed = [{"labels": {"job": job}, "targets": [url.removeprefix("http://")]} for job, url in targets.items()]
    (folder / "config" / "targets.yml").write_text(json.dumps(listed))
    process = await asyncio.create_subprocess_exec(
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", "--log.level=error",
        f"--web.listen-address=127.0.0.1:{port}",
    )  # fmt: skip
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            yield Prometheus(http)
    finally:
        process.terminate()
        await process.wait()
