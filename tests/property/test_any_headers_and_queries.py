"""Whatever stands in headers, paths and query strings: a documented answer, no 5xx, and nothing changed by what is refused (I6)."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER, command_service, query_service
from tests.support.databases import connected
from tests.support.documented import watched
from tests.support.http import JSON, head, place

ANY_BYTES = st.binary(max_size=40) | st.text(st.characters(codec="latin-1"), max_size=300).map(
    lambda text: text.encode("latin-1")
)
NUMBERS = st.integers(-(10**30), 10**30).map(lambda number: b"%d" % number)
TRACE = st.from_regex(rb"[0-9a-fA-F]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.?", fullmatch=True)


def value(*likely: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Give values of a header: any bytes that HTTP allows there, or what looks right."""
    return st.one_of(ANY_BYTES, *likely).map(lambda found: found.translate(None, b"\r\n\0"))


ORIGINS = value(st.sampled_from([b"http://localhost", b"http://[", b"null"]))
SITES = value(st.sampled_from([b"same-origin", b"none", b"cross-site"]))
COMMAND_HEADERS = {
    b"Origin": ORIGINS,
    b"Sec-Fetch-Site": SITES,
    b"Host": value(st.just(b"[::1]")),
    b"Idempotency-Key": value(st.just(b"k")),
    b"If-Match": value(NUMBERS, NUMBERS.map(lambda number: b'"%b"' % number), st.just(b"*")),
    b"traceparent": value(TRACE),
    b"X-Correlation-ID": value(),
    b"Authorization": value(st.just(b"Bearer x")),
    b"Event-Position": value(NUMBERS),
    b"Prefer": value(st.just(b"wait=0")),
    b"Content-Length": value(NUMBERS),
}
QUERY_HEADERS = {
    b"Origin": ORIGINS,
    b"Sec-Fetch-Site": SITES,
    b"Event-Position": value(NUMBERS),
    b"Last-Event-ID": value(NUMBERS),
    b"If-None-Match": value(st.just(b"*"), st.just(b'"1", W/"2"')),
    b"X-Correlation-ID": value(),
    b"Authorization": value(),
}


def headers_of(known: dict[bytes, st.SearchStrategy[bytes]]) -> st.SearchStrategy[list[tuple[bytes, bytes]]]:
    """Give some headers, one of them perhaps more than once."""
    one = st.one_of(*(st.tuples(st.just(name), values) for name, values in known.items()))
    return st.lists(one, max_size=4)


TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
ORDER_ID = "0199b7a4-7c00-7000-8000-000000000001"
PARAMETERS = st.sampled_from(
    [
        "after", "limit", "cursor", "status", "event_type", "aggregate_id", "correlation_id", "schema", "min_position", "version",
        "as_of", "q", "customer_name", "placed_from", "placed_to", "min_total", "max_total", "sort", "from", "to", "colour",
    ]
)  # fmt: skip
LIKELY = st.sampled_from(
    [
        "", "0", "1", "-1", "9223372036854775807", "9223372036854775808", "1e3", "1_0", "\u0661", "true", "null", ORDER_ID,
        "2026-01-31", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "pending", "OrderPlaced", "current",
        "-total_amount", "%", "\0", "a\0b", "\u202e", "\U0001f375", "Ag", "12.50", "1" * 400,
    ]
)  # fmt: skip
PAIRS = st.lists(st.tuples(PARAMETERS, LIKELY | TEXT), max_size=4).map(urlencode)
RAW = st.binary(max_size=30).map(lambda raw: quote(raw, safe="%&=+;/?:@"))
PATH_IDS = (
    st.sampled_from([ORDER_ID, ORDER_ID.upper(), f"urn:uuid:{ORDER_ID}", f"{{{ORDER_ID}}}", ORDER_ID[:-1]]) | TEXT
)
VERBS = TEXT.map(lambda text: quote(text, safe=""))
READS = st.sampled_from(
    [
        "/orders", "/orders/{}", "/orders/{}/history", "/statistics", "/statistics/daily", "/analytics/statuses", "/events",
        "/projections", "/projections/{}/parked", "/metrics", "/asyncapi.json", "/health/ready",
    ]
)  # fmt: skip

Holds = Callable[..., Coroutine[Any, Any, None]]
some = settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))


NEWEST = text("SELECT metadata ->> 'traceparent' FROM event_store.events ORDER BY position DESC LIMIT 1")


class World:
    """Both services on a database."""

    def __init__(self, commands: httpx.AsyncClient, queries: httpx.AsyncClient, engine: AsyncEngine) -> None:
        self.commands = commands
        self.queries = queries
        self.engine = engine

    async def holds(self, client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        """Send a request; only what is answered with success may have appended something."""
        before = await head(self.engine)
        answer = await client.send(request)
        assert answer.status_code < 500, f"{request.url} {request.headers.raw}: {answer.text}"
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        assert await head(self.engine) - before == (
            answer.status_code == 201 and "Idempotency-Replayed" not in answer.headers
        )
        return answer


@pytest.fixture
def run(database: str) -> Any:
    """Give what runs a coroutine in a world of its own, on one loop for all examples."""

    async def start(stack: AsyncExitStack) -> World:
        return World(
            watched(await stack.enter_async_context(command_service(database)), "command"),
            watched(await stack.enter_async_context(query_service(database)), "query"),
            await stack.enter_async_context(connected(database)),
        )

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        world = runner.run(start(stack))
        try:
            yield lambda function, *arguments: runner.run(function(world, *arguments))
        finally:
            runner.run(stack.aclose())


def test_any_headers_of_a_command(run: Any) -> None:
    async def holds(world: World, headers: list[tuple[bytes, bytes]]) -> None:
        order = world.commands.build_request("POST", "/orders", json=ORDER)
        kept = [(name, value) for name, value in order.headers.raw if name.lower() != b"content-length"]
        request = httpx.Request("POST", order.url, headers=[*kept, *headers], content=order.content)
        if not any(name == b"Content-Length" for name, _ in headers):
            request.headers["Content-Length"] = str(len(order.content))
        await world.holds(world.commands, request)

    @some
    @given(headers_of(COMMAND_HEADERS))
    def holds_for(headers: list[tuple[bytes, bytes]]) -> None:
        run(holds, headers)

    holds_for()


def is_trace(trace: bytes) -> bool:
    """Tell whether it is a `traceparent` of the W3C's Trace Context: version, trace id, parent id, flags."""
    parts = trace.split(b"-")
    hexadecimal = not trace.translate(None, b"-0123456789abcdef")
    return (
        [len(part) for part in parts] == [2, 32, 16, 2]
        and hexadecimal
        and parts[0] != b"ff"
        and all(map(int, parts[1:3], (16, 16)))
    )


def test_any_traceparent_is_kept_whole_or_not_at_all(run: Any) -> None:
    async def holds(world: World, trace: bytes) -> None:
        request = world.commands.build_request("POST", "/orders", json=ORDER, headers=[(b"traceparent", trace)])
        assert (await world.holds(world.commands, request)).status_code == 201
        async with world.engine.connect() as connection:
            stored = await connection.scalar(NEWEST)
        assert stored == (trace.decode() if is_trace(trace) else None)

    @some
    @given(value(TRACE))
    def holds_for(trace: bytes) -> None:
        run(holds, trace)

    holds_for()


def test_any_path_and_query_and_headers_of_a_read(run: Any) -> None:
    async def holds(world: World, path: str, query: str, headers: list[tuple[bytes, bytes]]) -> None:
        request = world.queries.build_request("GET", f"{path}?{query}", headers=[*headers, (b"Prefer", b"wait=0")])
        before = await head(world.engine)
        answer = await world.queries.send(request)
        behind = answer.status_code == 503 and answer.json()["type"] == "urn:daicho:problem:read-model-behind"
        assert answer.status_code < 500 or behind, f"{request.url} {headers}: {answer.text}"
        assert await head(world.engine) == before

    @some
    @given(READS, PATH_IDS, PAIRS | RAW, headers_of(QUERY_HEADERS))
    def holds_for(path: str, name: str, query: str, headers: list[tuple[bytes, bytes]]) -> None:
        run(holds, path.format(quote(name, safe="")), query, headers)

    holds_for()


def test_any_id_in_the_path_of_a_command(run: Any) -> None:
    async def holds(world: World, name: str, verb: str) -> None:
        request = world.commands.build_request("POST", f"/orders/{quote(name, safe='')}/{verb}", json={}, headers=JSON)
        assert (await world.holds(world.commands, request)).status_code in {404, 405, 422}

    @some
    @given(PATH_IDS, st.sampled_from(["confirm", "ship", "cancel"]) | VERBS)
    def holds_for(name: str, verb: str) -> None:
        run(holds, name, verb)

    holds_for()


def test_a_cursor_that_was_altered_is_refused(run: Any) -> None:
    async def page(world: World) -> str:
        position = 0
        for _ in range(3):
            position = (await place(world.commands)).json()["position"]
        headers = {"Event-Position": str(position), "Prefer": "wait=30"}
        answer = await world.queries.get("/orders?limit=1", headers=headers)
        cursor: str = answer.json()["next_cursor"]
        return cursor

    async def holds(world: World, cursor: str) -> None:
        answer = await world.queries.get("/orders", params={"limit": 1, "cursor": cursor})
        assert answer.status_code == 422, cursor
        assert answer.json()["type"] in ("urn:daicho:problem:invalid-cursor", "urn:daicho:problem:validation-failed")

    given_out = run(page)

    @some
    @given(
        st.integers(0, len(given_out) - 1),
        st.characters(codec="utf-8"),
        TEXT,
        st.sampled_from(["change", "cut", "add", "any"]),
    )
    def holds_for(at: int, character: str, text: str, how: str) -> None:
        altered = {
            "change": given_out[:at] + character + given_out[at + 1 :],
            "cut": given_out[:at],
            "add": given_out + character,
            "any": text,
        }[how]
        if altered != given_out:
            run(holds, altered)

    holds_for()
