"""Whatever can be asked by the OpenAPI documents, and against them, is answered as they say: schemathesis, all checks."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER
from tests.support.processes import Process, service
from tests.support.replay import assert_log_is_sound
from tests.support.tokens import WITHOUT_TOKENS, SigningKey, bearer, trusting

ROOT = Path(__file__).parents[2]
KEY = SigningKey("one")


class Found(NamedTuple):
    """What a run came to."""

    cases: int
    checks: int
    failures: Counter[str]


async def ask_anything(process: Process, folder: Path, *, token: str | None, arguments: Sequence[str]) -> Found:
    """Run schemathesis over the document of a service."""
    report = folder / "report.ndjson"
    if token is not None:
        arguments = [*arguments, "--header", f"Authorization: Bearer {token}"]
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(ROOT / "tests/support/schemathesis.toml"), "--no-color",
        "run", f"{process.url}/openapi.json", "--generation-database", "none", "--report", "ndjson",
        "--report-ndjson-path", str(report), *arguments,
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), WITHOUT_TOKENS: "" if token else "1"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    found = counted(report)
    assert running.returncode == 0, f"{found.failures}\n{output.decode()}"
    return found


def counted(report: Path) -> Found:
    """Count what a report tells."""
    found = Found(0, 0, Counter())
    for line in report.read_text(encoding="utf-8").splitlines():
        recorder: dict[str, Any] = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        checks = [(recorder["label"], one) for those in recorder.get("checks", {}).values() for one in those]
        failed = Counter(f"{label} {one['name']}" for label, one in checks if one["status"] != "success")
        found = Found(
            found.cases + len(recorder.get("interactions", ())),
            found.checks + len(checks),
            found.failures + failed,
        )
    return found


async def all_answers(
    name: str, database: str, engine: AsyncEngine, folder: Path, *, identity: bool, arguments: Sequence[str]
) -> None:
    settings = {}
    if identity:
        trusted = trusting(folder, KEY)
        settings = {"DAICHO_TOKEN_ISSUER": trusted["token_issuer"], "DAICHO_JWKS_FILE": str(trusted["jwks_file"])}
    headers = bearer(KEY.token())
    async with service("command", database, **settings) as commands, httpx.AsyncClient() as http:
        for _ in range(3):
            (await http.post(f"{commands.url}/orders", json=ORDER, headers=headers)).raise_for_status()
        token = headers["Authorization"].partition(" ")[2] if identity else None
        if name == "command":
            found = await ask_anything(commands, folder, token=token, arguments=arguments)
        else:
            async with service("query", database, DAICHO_HEARTBEAT="0.2", **settings) as queries:
                found = await ask_anything(queries, folder, token=token, arguments=arguments)
    print(  # noqa: T201
        f"\n{name} service, identity {'on' if identity else 'off'}: {found.cases} cases, {found.checks} checks, "
        f"{found.failures.total()} failures"
    )
    assert found.cases
    await assert_log_is_sound(engine)


both_services = pytest.mark.parametrize("name", ["command", "query"])
on_and_off = pytest.mark.parametrize("identity", [False, True], ids=["identity off", "identity on"])


@pytest.mark.timeout(300)
async def test_some_commands(database: str, engine: AsyncEngine, tmp_path: Path) -> None:
    arguments = ["--phases", "examples,fuzzing,stateful", "--max-examples", "2", "--no-shrink"]
    await all_answers("command", database, engine, tmp_path, identity=True, arguments=arguments)


@pytest.mark.load
@pytest.mark.timeout(900)
@both_services
@on_and_off
async def test_many_requests(name: str, database: str, engine: AsyncEngine, tmp_path: Path, *, identity: bool) -> None:
    """With every phase, values at the edges of each schema included."""
    await all_answers(name, database, engine, tmp_path, identity=identity, arguments=["--max-examples", "50"])
