"""Pages of other origins change nothing, and without identity a service answers under names of loopback only."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.settings import QuerySettings
from shared.settings import load
from tests.support.apps import ORDER, command_service, query_service
from tests.support.documented import watched
from tests.support.http import assert_problem, events

HOME = "https://orders.example"
SETTINGS = {"command": {"cors_origins": HOME}, "query": {"allowed_hosts": "Orders.Example, 10.0.0.7"}}
RETRY = "/projections/order_items/parked/retry"
LET_IN: list[dict[str, str]] = [
    {},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://behind-a-proxy.example"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://localhost"},
]
REFUSED: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:9000"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:9000"},
    {"Origin": "null"},
    {"Origin": "http://["},
]


@pytest.fixture(scope="module")
def refusing() -> Mapping[str, Mapping[str, Any]]:
    return SETTINGS


@pytest.fixture
async def commands(database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with command_service(database, **SETTINGS["command"]) as client:
        yield client


@pytest.fixture
async def queries(database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with query_service(database, **SETTINGS["query"]) as client:
        yield watched(client, "query")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("headers", REFUSED)
async def test_a_page_of_another_origin_changes_nothing(
    refusing_commands: httpx.AsyncClient,
    refusing_queries: httpx.AsyncClient,
    unchanged_engine: AsyncEngine,
    headers: dict[str, str],
) -> None:
    """I6. A request without a body, or with a form's, is sent by browsers without asking first."""
    refusing_commands.event_hooks["response"].clear()  # What a browser alone reads is not in the document.
    for answer in (
        await refusing_commands.post("/orders", json=ORDER, headers=headers),
        await refusing_queries.post(RETRY, headers=headers),
        await refusing_queries.post("/projections/order_items/rebuild", headers=headers),
    ):
        assert_problem(answer, 403, "forbidden")
    assert await events(unchanged_engine) == []
    assert [one["rebuild"] for one in (await refusing_queries.get("/projections", headers=headers)).json()] == [
        None
    ] * 3


@pytest.mark.parametrize("headers", LET_IN)
async def test_a_page_of_ours_and_what_is_no_browser_are_let_in(
    commands: httpx.AsyncClient, queries: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await commands.post("/orders", json=ORDER, headers=headers)).status_code == 201
    assert (await queries.post(RETRY, headers=headers)).status_code == 200


async def test_a_named_origin_sends_commands(commands: httpx.AsyncClient, queries: httpx.AsyncClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": HOME}
    assert (await commands.post("/orders", json=ORDER, headers=headers)).status_code == 201
    assert_problem(await queries.post(RETRY, headers=headers), 403, "forbidden")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8002", 200), ("LOCALHOST", 200), ("127.0.0.1", 200), ("127.9.9.9:1", 200), ("[::1]:8002", 200),
        ("[::1]", 200), ("orders.example:443", 200), ("10.0.0.7", 200),
        ("evil.example:8002", 403), ("localhost.evil.example", 403), ("127.0.0.1.evil.example", 403),
        ("10.0.0.8", 403), ("", 403), ("localhost:8002:evil.example", 403), ("[::1]evil.example", 403),
    ],
)  # fmt: skip
async def test_a_name_that_was_made_to_stand_for_loopback_is_refused(
    refusing_queries: httpx.AsyncClient, host: str, status: int
) -> None:
    """Even where nothing is changed: to its browser, a page of that name is of our origin, and may read the answers."""
    answer = await refusing_queries.get("/orders", headers={"Host": host})
    assert answer.status_code == status
    if status == 403:
        assert "DAICHO_ALLOWED_HOSTS" in assert_problem(answer, 403, "forbidden")["detail"]


def test_a_host_with_a_port_is_no_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DAICHO_DATABASE_URL", "postgresql://x/y")
    monkeypatch.setenv("DAICHO_ALLOWED_HOSTS", "orders.example:8002")
    with pytest.raises(SystemExit):
        load(QuerySettings)
    assert "without a port" in capsys.readouterr().err
