"""Tokens from `daicho token`, services that ask for them, and what must never be said: passwords and tokens."""

import asyncio
import json
import os
import re
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import jwt
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER
from tests.support.http import events
from tests.support.processes import daicho, free_port
from tests.support.proxy import proxied
from tests.support.tokens import bearer, unsigned
from tests.support.up import Up, running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.walks

SERVICES = ("command", "query")
PASSWORD = "s3cret-pass/word"
KEY_PASSWORD = "s3cret-key-word"
embedded = pytest.mark.skipif("DAICHO_DATABASE_URL" in os.environ, reason="is about the embedded PostgreSQL")


async def token(data_dir: Path, *scopes: str, subject: str = "aiko") -> tuple[str, dict[str, str]]:
    """Have `daicho token` make one; give it, and the variables that it tells."""
    arguments = [word for scope in scopes for word in ("--scope", scope)]
    code, output = await daicho(None, "token", *arguments, "--subject", subject, DAICHO_DATA_DIR=str(data_dir))
    assert code == 0, output
    return output.splitlines()[-1], dict(re.findall(r"(DAICHO_\w+)=(\S+)", output))


@embedded
@pytest.mark.timeout(180)
async def test_what_daicho_token_makes_is_what_daicho_up_with_identity_takes(data_dir: Path) -> None:
    write, _ = await token(data_dir, "orders:write")
    read, _ = await token(data_dir, "orders:read", subject="ben")
    up = Up(data_dir, free_port(), free_port(), "up", "--with-identity")
    async with running(up), httpx.AsyncClient() as http:
        assert (await http.post(f"{up.commands}/orders", json=ORDER)).status_code == 401
        assert (await http.post(f"{up.commands}/orders", json=ORDER, headers=bearer(read))).status_code == 403
        placed = await http.post(f"{up.commands}/orders", json=ORDER, headers=bearer(write))
        assert placed.json()["position"] == 1
        path, position = f"{up.queries}/events", {"Event-Position": "1"}
        assert (await http.get(path, headers=bearer(write))).status_code == 403
        (event,) = (await http.get(path, headers={**bearer(read), **position})).json()["items"]
        assert event["metadata"]["actor"] == "aiko"
        environment = {"DAICHO_DATA_DIR": str(data_dir), "DAICHO_COMMAND_PORT": up.commands.rpartition(":")[2]}
        code, output = await daicho(None, "demo", "--orders", "1", **environment)
        assert (code, "DAICHO_TOKEN" in output) == (1, True)
        code, output = await daicho(None, "demo", "--orders", "1", "--rate", "100", **environment, DAICHO_TOKEN=write)
        assert (code, "1 placed" in output) == (0, True), output


async def test_the_private_key_is_its_owners_alone_and_is_made_once(data_dir: Path) -> None:
    arguments = ("-m", "daicho", "token", "--scope", "operations")
    made = [
        await asyncio.create_subprocess_exec(
            sys.executable, *arguments,
            env={**os.environ, "DAICHO_DATA_DIR": str(data_dir)}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    printed = [(await process.communicate())[0].decode() for process in made]
    assert [process.returncode for process in made] == [0, 0, 0]
    assert len({jwt.get_unverified_header(one.strip())["kid"] for one in printed}) == 1
    assert all(one.count("\n") == 1 for one in printed), "standard output has the token alone"
    folder = data_dir / "identity"
    assert sorted(path.name for path in folder.iterdir()) == ["jwks.json", "private.pem"]
    assert stat.S_IMODE((folder / "private.pem").stat().st_mode) == 0o600
    (public,) = json.loads((folder / "jwks.json").read_text(encoding="utf-8"))["keys"]
    assert public.keys() == {"kty", "crv", "x", "kid", "alg", "use"}
    before = (folder / "private.pem").read_bytes()
    await token(data_dir, "operations")
    assert (folder / "private.pem").read_bytes() == before


async def test_what_cannot_be_a_token_is_told(data_dir: Path) -> None:
    environment = {"DAICHO_DATA_DIR": str(data_dir)}
    code, output = await daicho(None, "token", "--scope", "orders:delete", **environment)
    assert (code, "orders:write, orders:read, operations" in output) == (2, True)
    (data_dir / "identity").mkdir()
    (data_dir / "identity" / "private.pem").write_text("nonsense", encoding="utf-8")
    code, output = await daicho(None, "token", "--scope", "operations", **environment)
    assert (code, "it is no private key of ours" in output) == (1, True)


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("way", ["DAICHO_HOST", "--host", "UVICORN_HOST"])
async def test_a_service_that_others_would_reach_does_not_start_without_identity(name: str, way: str) -> None:
    arguments = ("--host", "0.0.0.0") if way == "--host" else ()
    environment = {} if way == "--host" else {way: "0.0.0.0"}
    process = await start(
        name, free_port(), {"DAICHO_DATABASE_URL": "postgresql://u:p4ssword@x/y", **environment}, *arguments
    )
    output, _ = await process.communicate()
    told = output.decode()
    assert process.returncode == 2, told
    assert told.startswith("DAICHO_HOST: 0.0.0.0 is not loopback")
    assert {"DAICHO_TOKEN_ISSUER", "DAICHO_JWKS_URL", "DAICHO_JWKS_FILE"} <= set(re.findall(r"DAICHO_\w+", told))
    assert "p4ssword" not in told


async def start(name: str, port: int, environment: Mapping[str, str], *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", "--factory", f"{name}_service.main:create", "--port", str(port),
        "--http", "shared.web.http_protocol:BoundedHttp", "--log-level", "trace", *arguments,
        env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


class Watched:
    """A service with all that it has printed and answered."""

    def __init__(self, url: str, process: asyncio.subprocess.Process) -> None:
        self.http = httpx.AsyncClient(base_url=url, timeout=30)
        self.process = process
        self.said = b""
        self.statuses: set[int] = set()

    async def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> int:
        answer = await self.http.request(method, path, headers=headers, json=ORDER if method == "POST" else None)
        self.said += repr(answer.headers.multi_items()).encode() + answer.content
        self.statuses.add(answer.status_code)
        return answer.status_code

    async def live(self) -> bool:
        assert self.process.returncode is None
        try:
            return await self.ask("GET", "/health/ready") == 200
        except httpx.TransportError:
            return False


@asynccontextmanager
async def watched(name: str, environment: Mapping[str, str]) -> AsyncIterator[Watched]:
    port = free_port()
    process = await start(name, port, environment)
    one = Watched(f"http://127.0.0.1:{port}", process)
    assert process.stdout is not None
    reading = asyncio.create_task(process.stdout.read())
    try:
        await wait_until(one.live, f"{name} is ready", 60)
        yield one
    finally:
        await one.http.aclose()
        if process.returncode is None:
            process.terminate()
        one.said += await reading
        await process.wait()


@pytest.mark.parametrize("name", SERVICES)
async def test_passwords_and_tokens_are_never_said(
    name: str, database: str, engine: AsyncEngine, data_dir: Path
) -> None:
    good, variables = await token(data_dir, "orders:write", "orders:read", "operations")
    useless, _ = await token(data_dir, "orders:write" if name == "query" else "orders:read")
    bad = [unsigned(), good[:-9] + "AAAAAAAAA", f"{good}x", "not-a-token-at-all"]
    paths = [("POST", "/orders"), ("POST", "/orders/x/confirm"), ("POST", "/projections/order_items/rebuild")]
    paths += [
        ("GET", path)
        for path in ("/orders", "/events", "/metrics", "/projections", "/health/ready", "/openapi.json", "/none")
    ]
    async with proxied(database) as proxy:
        url = make_url(proxy.url).set(username="postgres", password=PASSWORD).render_as_string(hide_password=False)
        environment = {"DAICHO_DATABASE_URL": url, "DAICHO_COMMAND_DEADLINE": "0.5", **variables}
        async with watched(name, environment) as service:
            for credentials in (good, useless, *bad):
                for method, path in paths:
                    await service.ask(method, path, bearer(credentials))
            proxy.cut(stay_away=True)
            for method, path in paths:
                await service.ask(method, path, bearer(good))
    assert {401, 403, 404, 503} <= service.statuses
    assert 500 not in service.statuses
    assert b"uvicorn" in service.said.lower()
    for secret in (PASSWORD, quote(PASSWORD, safe=""), good, good.split(".")[2], useless, *bad):
        assert secret.encode() not in service.said, secret
    recorded = repr(await events(engine))
    assert good.split(".")[2] not in recorded


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(
    "setting",
    [
        {"DAICHO_DATABASE_URL": f"mysql://user:{quote(PASSWORD, safe='')}@127.0.0.1/x"},
        {"DAICHO_DATABASE_URL": f"postgresql://user:{quote(PASSWORD, safe='')}@127.0.0.1:1/x"},
        {"DAICHO_DATABASE_URL": f"postgresql://user:{quote(PASSWORD, safe='')}@127.0.0.1:port/x"},
        {"DAICHO_TOKEN_ISSUER": "x", "DAICHO_JWKS_URL": f"http://user:{KEY_PASSWORD}@issuer.example/keys"},
        {"DAICHO_JWKS_URL": f"https://user:{KEY_PASSWORD}@issuer.example/keys"},
    ],
    ids=["scheme", "away", "port", "keys not encrypted", "keys of nobody"],
)
async def test_a_service_that_does_not_start_says_no_password(name: str, setting: Mapping[str, str]) -> None:
    nowhere = f"postgresql://user:{quote(PASSWORD, safe='')}@127.0.0.1:1/none"
    process = await start(name, free_port(), {"DAICHO_DATABASE_URL": nowhere, **setting})
    output, _ = await process.communicate()
    assert process.returncode not in (0, None)
    assert output
    for secret in (PASSWORD, quote(PASSWORD, safe=""), KEY_PASSWORD):
        assert secret.encode() not in output
