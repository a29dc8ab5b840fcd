"""With identity, a request gets as far as its token allows; a refused one changes nothing and is told what it lacks."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy.ext.asyncio import AsyncEngine

from daicho.api_documents import Documented
from query_service.app import create_app
from tests.support.apps import ORDER, command_service, query_service, query_settings, running
from tests.support.documented import api, watched
from tests.support.http import PATIENT, assert_problem, events, place, plain_client
from tests.support.served import served
from tests.support.tokens import SigningKey, bearer, encoded, good_claims, key_set, trusting, unsigned
from tests.support.waiting import wait_until

KEY = SigningKey("one")
EVERYTHING = bearer(KEY.token())


def guarded(service: Documented) -> list[tuple[str, str, list[str]]]:
    """Give what a document says needs a token: method, path, and the scopes each of which is enough."""
    return [
        (method.upper(), example_path(path, told), [scope for option in told["security"] for scopes in option.values() for scope in scopes])
        for method, path, told in api(service).operations
        if "security" in told
    ]  # fmt: skip


def example_path(path: str, told: Mapping[str, Any]) -> str:
    for parameter in told["parameters"]:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
    return path


COMMANDS = guarded("command")
QUERIES = guarded("query")
OPEN = ("/health/live", "/health/ready", "/openapi.json", "/docs")


def confused() -> str:
    """Give a token that is signed with the public key, as if that were a secret."""
    content = f"{encoded({'alg': 'HS256', 'kid': 'one'})}.{encoded(good_claims())}"
    public = KEY.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return f"{content}.{encoded(hmac.digest(public, content.encode(), 'sha256'))}"


def altered() -> str:
    """Give a token that is good but for its claims."""
    header, _, signature = KEY.token().split(".")
    return f"{header}.{encoded({**good_claims(), 'sub': 'ben'})}.{signature}"


REALM = 'Bearer realm="daicho"'
INVALID = f'{REALM}, error="invalid_token", error_description='
REFUSED: Mapping[str, tuple[str | None, str]] = {
    "no token": (None, REALM),
    "basic credentials": ("Basic YTpi", f'{INVALID}"there must be one Authorization, of the kind Bearer"'),
    "an empty token": ("Bearer ", f'{INVALID}"it is not a token of ours"'),
    "alg none": (f"Bearer {unsigned()}", f'{INVALID}"its algorithm is not taken"'),
    "a wrong key": (f"Bearer {SigningKey('one').token()}", f'{INVALID}"its signature does not match"'),
    "an unknown key": (f"Bearer {SigningKey('two').token()}", f'{INVALID}"it is signed with an unknown key"'),
    "another audience": (f"Bearer {KEY.token(aud='payroll')}", f'{INVALID}"it is for another audience"'),
    "another issuer": (f"Bearer {KEY.token(iss='x')}", f'{INVALID}"it is of another issuer"'),
    "not valid yet": (f"Bearer {KEY.token(nbf=int(time.time()) + 3600)}", f'{INVALID}"it is not valid yet"'),
    "HS256 with the public key": (f"Bearer {confused()}", f'{INVALID}"its algorithm is not taken"'),
    "without a subject": (f"Bearer {KEY.token(sub=None)}", f'{INVALID}"it must have exp, iss, aud, sub"'),
    "altered": (f"Bearer {altered()}", f'{INVALID}"its signature does not match"'),
    "garbage": ("Bearer a.b.c", f'{INVALID}"it is not a token of ours"'),
    "expired": (f"Bearer {KEY.token(exp=int(time.time()) - 31)}", f'{INVALID}"it has expired"'),
    "bytes": ("Bearer \xff\xfe", f'{INVALID}"it is not a token of ours"'),
}


@pytest.fixture
async def commands(database: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with command_service(database, **trusting(tmp_path, KEY)) as client:
        yield watched(client, "command")


@pytest.fixture
async def queries(database: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with query_service(database, **trusting(tmp_path, KEY)) as client:
        yield watched(client, "query")


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Any]]:
    settings = trusting(tmp_path_factory.mktemp("keys"), KEY)
    return {"command": settings, "query": settings}


def refused(case: str) -> tuple[dict[bytes, bytes], str]:
    """Give a request's headers, and what it is told."""
    credentials, challenge = REFUSED[case]
    return {} if credentials is None else {b"Authorization": credentials.encode("latin-1")}, challenge


def unwatched(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Ask for what is not in the document."""
    client.event_hooks["response"].clear()
    return client


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", REFUSED)
async def test_a_command_without_a_good_token_is_refused_and_appends_nothing(
    refusing_commands: httpx.AsyncClient, unchanged_engine: AsyncEngine, case: str
) -> None:
    """I6."""
    headers, challenge = refused(case)
    for method, path, _ in COMMANDS:
        keyed = {**headers, b"Idempotency-Key": b"k"}
        answer = await refusing_commands.request(method, path, json=ORDER, headers=keyed)
        assert_problem(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == challenge
    assert await events(unchanged_engine) == []


async def test_a_command_needs_orders_write(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    """I6."""
    for scope in ("orders:read operations", "orders:writer", "ORDERS:WRITE", ""):
        for method, path in (one[:2] for one in COMMANDS if tuple(one[2]) == ("orders:write",)):
            answer = await commands.request(method, path, json=ORDER, headers=bearer(KEY.token(scope=scope)))
            assert_problem(answer, 403, "forbidden")
            assert answer.headers["WWW-Authenticate"] == f'{REALM}, error="insufficient_scope", scope="orders:write"'
    assert await events(engine) == []
    assert (await place(commands, **bearer(KEY.token(scope="orders:write")))).status_code == 201


async def test_metrics_of_commands_need_operations(commands: httpx.AsyncClient) -> None:
    assert_problem(await commands.get("/metrics", headers=bearer(KEY.token(scope="orders:write"))), 403, "forbidden")
    assert (await commands.get("/metrics", headers=bearer(KEY.token(scope="operations")))).status_code == 200


async def test_two_credentials_are_none(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    twice = [("Authorization", EVERYTHING["Authorization"])] * 2
    answer = await commands.post("/orders", json=ORDER, headers=twice)
    assert_problem(answer, 401, "unauthorized")
    assert await events(engine) == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", REFUSED)
async def test_a_query_without_a_good_token_is_refused(refusing_queries: httpx.AsyncClient, case: str) -> None:
    headers, challenge = refused(case)
    for method, path, _ in QUERIES:
        answer = await refusing_queries.request(method, path, headers=headers)
        assert_problem(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == challenge


async def test_what_each_scope_reaches_on_the_query_service(queries: httpx.AsyncClient) -> None:
    for method, path, enough in QUERIES:
        for scope in ("orders:read", "operations", "orders:write"):
            answer = await queries.request(
                "HEAD" if path.endswith("stream") else method, path, headers=bearer(KEY.token(scope=scope))
            )
            assert (answer.status_code != 403) is (scope in enough), (scope, method, path)
            assert answer.status_code not in (401, 500)
            if scope not in enough:
                challenge = f'{REALM}, error="insufficient_scope", scope="{enough[0]}"'
                assert answer.headers["WWW-Authenticate"] == challenge


def test_both_documents_have_what_is_guarded() -> None:
    assert {scope for _, _, enough in COMMANDS for scope in enough} == {"orders:write", "operations"}
    assert {scope for _, _, enough in QUERIES for scope in enough} == {"orders:read", "operations"}
    assert len(COMMANDS) >= 4
    assert len(QUERIES) >= 13


async def test_an_answer_from_memory_is_guarded_too(queries: httpx.AsyncClient) -> None:
    await queries.get("/orders", headers=EVERYTHING)
    kept = await queries.get("/orders", headers=EVERYTHING)
    assert kept.status_code == 200
    assert (await queries.get("/orders")).status_code == 401
    assert (await queries.get("/orders", headers={"If-None-Match": kept.headers["ETag"]})).status_code == 401
    assert (await queries.head("/orders")).status_code == 401
    assert (await unwatched(queries).get("/orders%0A")).status_code == 401
    assert (await queries.get("/orders%0A", headers=bearer(KEY.token(scope="")))).status_code == 403


async def test_what_holds_no_data_is_open(commands: httpx.AsyncClient, queries: httpx.AsyncClient) -> None:
    for client in (commands, queries):
        for path in OPEN:
            assert (await client.get(path)).status_code == 200, path
    assert (await queries.get("/asyncapi.json")).status_code == 200


async def test_the_page_is_open_and_tells_nothing(
    database: str, commands: httpx.AsyncClient, queries: httpx.AsyncClient
) -> None:
    await place(commands, **EVERYTHING)
    reflecting = {**EVERYTHING, **PATIENT, "Event-Position": "1"}
    assert (await queries.get("/statistics", headers=reflecting)).status_code == 200
    page = await unwatched(queries).get("/", headers=EVERYTHING)
    data = ("Aiko Tanaka", "total_revenue", "data-head=")
    assert page.status_code == 200
    assert not [one for one in data if one in page.text]
    async with query_service(database) as unguarded:

        async def told() -> bool:
            text = (await unguarded.get("/")).text
            return all(one in text for one in data)

        await wait_until(told, "without identity, the page has the first answers")


async def test_pages_of_a_named_origin_can_send_tokens_and_read_why_they_are_refused(
    database: str, tmp_path: Path
) -> None:
    origin = "https://orders.example"
    settings = {**trusting(tmp_path, KEY), "cors_origins": (origin,)}
    async with command_service(database, **settings) as commands:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        preflight = await commands.options("/orders", headers={"Origin": origin, **asked})
        assert preflight.status_code == 200
        assert "authorization" in preflight.headers["Access-Control-Allow-Headers"].lower()
        refused = await place(commands, Origin=origin)
        assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, origin)
        assert "WWW-Authenticate" in refused.headers["Access-Control-Expose-Headers"]
        assert (await place(commands, Origin=origin, **EVERYTHING)).status_code == 201


async def test_without_a_token_nobody_learns_what_is_there(
    commands: httpx.AsyncClient, queries: httpx.AsyncClient
) -> None:
    for client in (unwatched(commands), unwatched(queries)):
        for method, path in (("GET", "/nothing"), ("DELETE", "/orders"), ("OPTIONS", "/orders"), ("PATCH", "/x/y")):
            assert (await client.request(method, path)).status_code == 401
            assert (await client.request(method, path, headers=EVERYTHING)).status_code in (404, 405)


async def test_the_subject_is_the_actor_and_has_keys_of_its_own(
    commands: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    """I7."""
    key = {"Idempotency-Key": "k"}
    tokens = [bearer(KEY.token(sub=name, jti=str(number))) for number, name in enumerate(("aiko", "ben", "aiko"))]
    answers = [await place(commands, **token, **key) for token in tokens]
    assert [answer.json()["position"] for answer in answers] == [1, 2, 1]
    assert ["Idempotency-Replayed" in answer.headers for answer in answers] == [False, False, True]
    assert [event.metadata["actor"] for event in await events(engine)] == ["aiko", "ben"]


async def test_a_key_that_is_replaced_in_the_file_is_taken_and_the_old_one_is_not(
    commands: httpx.AsyncClient, tmp_path: Path
) -> None:
    new = SigningKey("two", "EdDSA")
    assert (await place(commands, **EVERYTHING)).status_code == 201
    (tmp_path / "jwks.json").write_bytes(key_set(new))

    async def withdrawn() -> bool:
        return (await place(commands, **EVERYTHING)).status_code == 401

    await wait_until(withdrawn, "the old key is not taken any more")
    assert (await place(commands, **bearer(new.token()))).status_code == 201


async def test_while_there_are_no_keys_the_service_is_not_ready(database: str) -> None:
    settings = {"token_issuer": "https://issuer.example", "jwks_url": "http://127.0.0.1:1/keys"}
    async with command_service(database, **settings) as commands:
        refused = assert_problem(await place(commands, **EVERYTHING), 503, "unavailable")
        assert refused["detail"] == "Access tokens cannot be verified right now."
        ready = await commands.get("/health/ready")
        told = ready.json()["checks"]["token keys"]
        assert told == "there are no token keys: they cannot be read: ConnectError"
        assert_problem(ready, 503, "unavailable")


async def test_keys_that_become_unreadable_are_a_warning(commands: httpx.AsyncClient, tmp_path: Path) -> None:
    async def all_is_well() -> bool:
        answer = await commands.get("/health/ready")
        return answer.status_code == 200 and answer.json()["warnings"] == {}

    await wait_until(all_is_well, "the service is ready")
    (tmp_path / "jwks.json").unlink()

    async def warned() -> bool:
        answer = await commands.get("/health/ready")
        return answer.status_code == 200 and "token keys" in answer.json()["warnings"]

    await wait_until(warned, "the missing file is told")
    assert (await place(commands, **EVERYTHING)).status_code == 201


async def test_a_stream_ends_with_its_token(database: str, tmp_path: Path) -> None:
    """The leeway for clocks lets it open; what it may still show is over."""
    settings = trusting(tmp_path, KEY)
    async with served(database, **settings) as service, plain_client(timeout=30) as http:
        expired = bearer(KEY.token(exp=int(time.time()) - 5))
        async with http.stream("GET", f"{service.url}/events/stream", headers=expired) as answer:
            assert answer.status_code == 200
            async with asyncio.timeout(10):
                assert b"stream is open" in await answer.aread()
        expires = int(time.time()) + 2
        soon = bearer(KEY.token(exp=expires))
        async with http.stream("GET", f"{service.url}/events/stream", headers=soon) as answer:
            async with asyncio.timeout(10):
                await answer.aread()
            assert time.time() >= expires
        await service.wait_for_clients(0)


async def test_without_identity_what_comes_from_outside_is_refused(database: str) -> None:
    """Whichever way the server was told to listen there."""
    app: Any = create_app(query_settings(database))
    async with running(app):
        for address, status in (
            ("127.0.0.1", 200), ("::1", 200), ("127.9.9.9", 200), ("::ffff:127.0.0.1", 200), ("/run/daicho.sock", 200),
            ("10.0.0.7", 403), ("192.168.1.2", 403), ("2001:db8::1", 403), ("::ffff:10.0.0.7", 403), ("fe80::1%eth0", 403),
        ):  # fmt: skip

            async def arriving(scope: Any, receive: Any, send: Any, server: str = address) -> None:
                await app({**scope, "server": (server, 8002)}, receive, send)

            transport = httpx.ASGITransport(arriving)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                answer = await http.get("/orders")
                assert answer.status_code == status, address
                if status == 403:
                    assert_problem(answer, 403, "forbidden")
