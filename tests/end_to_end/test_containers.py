"""The Dockerfile's and the compose file's own commands, in order, in an environment that holds nothing else; no engine is needed."""

import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from shared.database_url import database_url
from tests.support.apps import ORDER
from tests.support.databases import Server, cloned
from tests.support.images import ROOT, Image, build, run, start
from tests.support.metrics import WHY_NOT
from tests.support.processes import free_port
from tests.support.publisher import publishing
from tests.support.tokens import ISSUER, SigningKey, bearer
from tests.support.waiting import wait_until

COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
OURS = {name: one for name, one in COMPOSE["services"].items() if one["image"] == "daicho"}
OWNERS = {"migrate"}
"""What connects as the database's owner."""
PROMTOOL = shutil.which("promtool")
GIVEN = {
    "POSTGRES_PASSWORD": "one",
    "DAICHO_COMMAND_ROLE_PASSWORD": "two",
    "DAICHO_QUERY_ROLE_PASSWORD": "three",
    "DAICHO_TOKEN_ISSUER": ISSUER,
}
"""What `.env` has."""


def filled_in(text: str, variables: Mapping[str, str]) -> str:
    """Put variables into a value as compose does; one that has to be set is."""

    def value(found: re.Match[str]) -> str:
        name, mark, default = found.groups()
        return variables[name] if mark != ":-" else variables.get(name, default)

    return re.sub(r"\$\{(\w+)(?:(:[?-])([^}]*))?\}", value, text)


def test_what_runs_has_no_more_rights_than_it_needs() -> None:
    for name, one in OURS.items():
        assert one["read_only"], name
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        is_owner = one["environment"]["DAICHO_DATABASE_URL"].startswith("postgresql://postgres:")
        assert is_owner == (name in OWNERS), name


def test_what_is_mounted_is_there() -> None:
    mounted = [volume.split(":")[0] for one in COMPOSE["services"].values() for volume in one.get("volumes", [])]
    mounted += [config["file"] for config in COMPOSE["configs"].values() if "file" in config]
    assert [path for path in mounted if path.startswith(".") and not (ROOT / path).exists()] == []


@pytest.mark.skipif(PROMTOOL is None, reason=WHY_NOT)
def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    for name, config in COMPOSE["configs"].items():
        text = config["content"] if "content" in config else (ROOT / config["file"]).read_text(encoding="utf-8")
        (tmp_path / f"{name}.yml").write_text(text.replace("/run/secrets", str(tmp_path)), encoding="utf-8")
    (tmp_path / "metrics_token").write_text("a token", encoding="utf-8")
    assert PROMTOOL is not None
    found = subprocess.run(
        [PROMTOOL, "check", "config", tmp_path / "prometheus.yml"], check=False, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.load
@pytest.mark.walks
@pytest.mark.timeout(400)
async def test_the_commands_of_the_image_and_of_the_compose_file_serve_an_order(
    postgres: Server, tmp_path: Path
) -> None:
    image, key = await build(ROOT / "Dockerfile", tmp_path), SigningKey("one")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", image.user), "it is no root, and numbers tell so to whoever runs it"
    async with cloned(postgres, "template1") as database, publishing(key) as issuer:
        variables = {**GIVEN, "DAICHO_JWKS_URL": issuer.url}
        migrate = OURS["migrate"]
        assert await run(image, migrate["command"], _environment(migrate, variables, database)) == 0
        async with (
            _service(image, "command", variables, database) as commands,
            _service(image, "query", variables, database) as queries,
            httpx.AsyncClient(headers=bearer(key.token())) as http,
        ):
            placed = await http.post(f"{commands}/orders", json=ORDER)
            assert placed.status_code == 201
            told = {"Event-Position": placed.headers["Event-Position"], "Prefer": "wait=30"}
            read = await http.get(f"{queries}/orders/{placed.json()['order_id']}", headers=told)
            assert read.json()["status"] == "pending"
            assert (await http.get(f"{queries}/orders", headers={"Authorization": ""})).status_code == 401


@asynccontextmanager
async def _service(image: Image, name: str, variables: Mapping[str, str], database: str) -> AsyncIterator[str]:
    """Run a service of the compose file until its health check says that it is well; give its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    at = {f"DAICHO_{name.upper()}_PORT": str(port), "HEALTH_URL": f"{url}/health/ready"}
    environment = _environment(OURS[name], variables, database) | at

    async def is_well() -> bool:
        return await run(image, image.health, environment) == 0

    assert not await is_well()
    process = await start(image, OURS[name].get("command", image.command), environment)
    try:
        await wait_until(is_well, f"{name} is well", 60)
        yield url
    finally:
        process.terminate()
        assert await process.wait() == 0


def _environment(service: Mapping[str, Any], variables: Mapping[str, str], database: str) -> dict[str, str]:
    """Give a service's environment; its database is the test's, and it listens on loopback only."""
    environment = {name: filled_in(value, variables) for name, value in service["environment"].items()}
    given = database_url(environment["DAICHO_DATABASE_URL"])
    there = database_url(database)
    if given.username != "postgres":
        there = there.set(username=given.username, password=given.password)
    url = there.render_as_string(hide_password=False)
    return {**environment, "DAICHO_DATABASE_URL": url, "DAICHO_HOST": "127.0.0.1"}
