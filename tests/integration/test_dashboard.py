"""The dashboard's page and its files, as a browser is given them; what it shows is in `tests/browser`."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from tests.support.apps import ORDER, command_service, query_service
from tests.support.http import place
from tests.support.orders import append_orders
from tests.support.waiting import wait_until

STATIC = Path(__file__).parents[2] / "query_service" / "orders" / "dashboard" / "static"
PAGE = "http://127.0.0.1:8002"


@pytest.fixture
async def http(database: str) -> AsyncIterator[httpx.AsyncClient]:
    """The service as browsers see it: the page and its files are no part of the API, and of its documents."""
    async with query_service(database) as client:
        yield client


def first_answers(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="answers">(.*)</script>', page, re.DOTALL)
    assert found is not None
    answers: dict[str, Any] = json.loads(found[1])
    return answers


async def test_the_page_lets_nothing_in_but_its_own_files_and_the_command_service(database: str) -> None:
    async with query_service(database, command_url="https://example.com:8443/orders/") as http:
        answer = await http.get("/")
        head = await http.head("/")
    assert answer.status_code == 200
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:",
        "connect-src": "'self' https://example.com:8443", "base-uri": "'none'", "form-action": "'none'",
        "frame-ancestors": "'none'", "require-trusted-types-for": "'script'",
    }  # fmt: skip
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert 'data-commands="https://example.com:8443/orders"' in answer.text
    assert not re.search(r"<script>|<style| style=| on[a-z]+=", answer.text), "something is inline"
    assert (head.status_code, head.content) == (200, b"")


async def test_its_files_are_compressed_and_kept_for_ever(http: httpx.AsyncClient) -> None:
    page = (await http.get("/")).text
    files = re.findall(r'(?:src|href)="(assets/[^"]+)"', page)
    prefix = files[0].rpartition("/")[0]
    files += [f"{prefix}/{module.name}" for module in STATIC.glob("*.js")]
    assert len(files) > len(set(files)) > 10
    for file in files:
        answer = await http.get(f"/{file}")
        assert answer.status_code == 200, file
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].split(";")[0] in {"text/javascript", "text/css"}
    assert (await http.get(f"/{prefix}/none.js")).status_code == 404
    assert (await http.get(f"/{prefix}/../page.html")).status_code == 404


@pytest.mark.parametrize(
    ("accepted", "encoding"), [("gzip", "gzip"), ("GZIP", "gzip"), ("br, gzip;q=0", None), ("identity", None)]
)
async def test_the_page_is_compressed_for_whoever_takes_it(
    http: httpx.AsyncClient, accepted: str, encoding: str | None
) -> None:
    answer = await http.get("/", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("content-encoding") == encoding
    assert "Daicho" in answer.text


async def test_it_carries_what_the_api_answers(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    events = await append_orders(store, 30)
    for path in ("/statistics", "/statistics/daily", "/orders?limit=20"):
        answer = await http.get(path, headers={"Event-Position": str(events), "Prefer": "wait=30"})
        carried = first_answers((await http.get("/")).text)[path]
        assert carried == {"body": answer.json(), "position": events, "etag": answer.headers["etag"]}
    page = (await http.get("/", headers={"Accept-Encoding": "identity"})).text
    assert f'data-head="{events}"' in page
    assert first_answers((await http.get("/?order=x")).text) == {}


async def test_no_customer_ends_its_data(commands: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    name = "</script><!--<script>alert('–')"
    placed = await commands.post("/orders", json={**ORDER, "customer_name": name})
    wanted = {"Event-Position": placed.headers["Event-Position"], "Prefer": "wait=30"}
    assert (await http.get("/orders?limit=20", headers=wanted)).is_success
    page = (await http.get("/")).text
    assert name not in page
    assert first_answers(page)["/orders?limit=20"]["body"]["items"][0]["customer_name"] == name


async def test_it_comes_without_data_while_the_read_model_is_away(engine: AsyncEngine, http: httpx.AsyncClient) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("ALTER SCHEMA read_model RENAME TO away"))

        async def is_without_data() -> bool:
            answer = await http.get("/")
            assert answer.status_code == 200
            return first_answers(answer.text) == {}

        try:
            await wait_until(is_without_data, "the answers that were kept are gone")
        finally:
            await connection.execute(text("ALTER SCHEMA away RENAME TO read_model"))


async def test_pages_of_named_origins_may_send_commands(database: str) -> None:
    asked = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,idempotency-key,if-match,x-correlation-id",
    }
    async with command_service(database, cors_origins=f"{PAGE}, https://orders.example.com") as http:
        preflight = await http.options("/orders", headers=asked)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, PAGE)
        placed = await place(http, Origin=PAGE)
        assert placed.headers["access-control-allow-origin"] == PAGE
        exposed = set(placed.headers["access-control-expose-headers"].split(", "))
        assert exposed >= {
            "ETag",
            "Event-Position",
            "Location",
            "Idempotency-Replayed",
            "Retry-After",
            "X-Correlation-ID",
        }
        refused = await http.post("/orders", json={}, headers={"Origin": PAGE})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (422, PAGE)
        other = await http.options("/orders", headers={**asked, "Origin": "https://elsewhere.example.com"})
        assert other.status_code == 400
        assert "access-control-allow-origin" not in other.headers


async def test_no_page_may_unless_it_is_named(commands: httpx.AsyncClient) -> None:
    answer = await place(commands, Origin=PAGE)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "url", ["ftp://x", "example.com", "https://x/?a", "https://a b", "https://x;script-src *", "*", "https://u@x"]
)
async def test_a_url_or_origin_that_is_none_is_refused(database: str, url: str) -> None:
    with pytest.raises(ValueError, match="must be a URL"):
        async with query_service(database, command_url=url):
            pass
    with pytest.raises(ValueError, match="must be an origin"):
        async with command_service(database, cors_origins=url):
            pass
