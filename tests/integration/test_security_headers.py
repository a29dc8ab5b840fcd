"""What every answer tells browsers, and that pages of other origins are let in by none."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from shared.web.security_headers import HEADERS
from tests.support.apps import ORDER, command_service, query_service
from tests.support.http import place
from tests.support.tokens import SigningKey, trusting

KEY = SigningKey("one", "EdDSA")


@pytest.fixture
async def clients(database: str, tmp_path: Path) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    trust = trusting(tmp_path, KEY)
    async with (
        command_service(database) as commands,
        query_service(database) as queries,
        command_service(database, **trust) as guarded_commands,
        query_service(database, **trust) as guarded_queries,
    ):
        yield {
            "commands": commands,
            "queries": queries,
            "guarded commands": guarded_commands,
            "guarded queries": guarded_queries,
        }


async def test_every_answer_has_them(clients: dict[str, httpx.AsyncClient]) -> None:
    placed = await place(clients["commands"])
    answers = [placed]
    for client in clients.values():
        for path in (
            "/health/live",
            "/health/ready",
            "/openapi.json",
            "/docs",
            "/none",
            "/orders",
            "/orders/x",
            "/projections",
        ):
            answers += [await client.get(path), await client.head(path), await client.request("PUT", path, json=ORDER)]
    statuses = {answer.status_code for answer in answers}
    assert {200, 201, 401, 404, 405, 422} <= statuses
    for answer in answers:
        for name, value in HEADERS.items():
            given = answer.headers.get_list(name)
            assert len(given) == 1, (answer.request, name)
            if name not in {"Cache-Control", "Content-Security-Policy"}:
                assert given == [value]


async def test_what_may_not_be_kept_says_so(clients: dict[str, httpx.AsyncClient]) -> None:
    placed = await place(clients["commands"])
    refused = await clients["guarded queries"].get("/orders")
    for answer in (placed, refused, await clients["queries"].get("/events")):
        assert answer.headers["Cache-Control"] == "no-store"
    assert (await clients["queries"].get("/orders")).headers["Cache-Control"] == "private, no-cache"


async def test_answers_that_are_no_pages_may_load_nothing(clients: dict[str, httpx.AsyncClient]) -> None:
    policy = (await clients["queries"].get("/orders")).headers["Content-Security-Policy"]
    assert policy == "default-src 'none'; frame-ancestors 'none'"
    assert (await clients["queries"].get("/docs")).headers["Content-Security-Policy"].startswith("default-src 'self'")


async def test_pages_of_other_origins_are_let_in_by_none(clients: dict[str, httpx.AsyncClient]) -> None:
    origin = {"Origin": "https://evil.example"}
    for client in clients.values():
        asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        answers = [await client.options("/orders", headers=asked), await client.get("/orders", headers=origin)]
        assert answers[0].status_code in (401, 405)
        for answer in answers:
            assert not [name for name in answer.headers if name.startswith("access-control-")]
