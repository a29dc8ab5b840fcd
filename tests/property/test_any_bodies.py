"""Whatever stands in a body: a documented answer, no 5xx, and nothing is appended unless it says so (I6)."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER, command_service
from tests.support.databases import connected
from tests.support.documented import watched
from tests.support.http import head

SCALARS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(10**50), 10**50)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\0", "\ud800", "a\x85b", "1e5", "NaN", "12.50", "0.001", "JP", " ", "x" * 501])
)
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = st.sampled_from(
    [
        ("order_id",), ("customer_name",), ("items",), ("shipping_address",), ("reason",), ("carrier",), ("tracking_number",),
        ("colour",), ("items", 0), ("items", 0, "quantity"), ("items", 0, "unit_price"), ("items", 0, "product_name"),
        ("shipping_address", "country"), ("shipping_address", "line2"), ("shipping_address", "colour"),
    ]
)  # fmt: skip
COMMANDS: dict[str, Any] = {"": ORDER, "confirm": {}, "ship": {"carrier": "Yamato"}, "cancel": {"reason": "late"}}


def altered(body: Any, place: tuple[Any, ...], value: Any) -> Any:
    """Give a body with something else at a place, where it has such a place."""
    copy = json.loads(json.dumps(body))
    *outer, last = place
    inner = copy
    for step in outer:
        if not isinstance(inner, list if isinstance(step, int) else dict) or (
            isinstance(inner, dict) and step not in inner
        ):
            return copy
        inner = inner[step]
    inner[last] = value
    return copy


def bodies_of(good: Any) -> st.SearchStrategy[bytes]:
    """Give bytes, JSON, and what is nearly a good body."""
    near = st.builds(altered, st.just(good), PLACES, JSON_VALUES) if good.get("items") else st.builds(
        altered, st.just(good), PLACES.filter(lambda place: len(place) == 1), JSON_VALUES
    )  # fmt: skip
    written = (near | JSON_VALUES).map(lambda value: json.dumps(value).encode())
    text = json.dumps(good).encode()
    torn = st.builds(
        lambda at, more: text[:at] + more + text[at:],
        st.integers(0, len(text)),
        st.binary(min_size=1, max_size=4)
        | st.sampled_from([b"\xef\xbb\xbf", b"\0", b'"a":1,', b"[" * 5000, b'"\\ud800"', b"9" * 4999]),
    )
    return (
        st.binary(max_size=60)
        | written
        | torn
        | st.just(text[:-1] + b"," + text[1:])
        | st.just(text.decode().encode("utf-16"))
    )


REQUESTS = st.sampled_from(list(COMMANDS)).flatmap(
    lambda verb: st.tuples(st.just(verb), st.booleans(), bodies_of(COMMANDS[verb]))
)
TYPES = st.sampled_from(
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=utf-16",
        "text/json",
        "multipart/form-data",
        "",
    ]
)


class World:
    """The command service on a database, with an order that is placed."""

    def __init__(self, http: httpx.AsyncClient, engine: AsyncEngine) -> None:
        self.http = http
        self.engine = engine

    async def holds(self, verb: str, media_type: str, body: bytes, *, in_pieces: bool) -> None:
        order_id = uuid4()
        path = "/orders"
        if verb:
            placed = await self.http.post("/orders", json={**ORDER, "order_id": str(order_id)})
            assert placed.status_code == 201
            path = f"/orders/{order_id}/{verb}"
        before = await head(self.engine)
        answer = await self.http.post(
            path,
            content=pieces(body) if in_pieces else body,
            headers={"Content-Type": media_type} if media_type else {},
        )
        assert answer.status_code in {200, 201, 409, 413, 415, 422}, f"{answer.status_code} {body!r}: {answer.text}"
        assert await head(self.engine) - before == answer.is_success


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 7):
        yield body[start : start + 7]


@pytest.fixture
def run(database: str) -> Iterator[Any]:
    async def start(stack: AsyncExitStack) -> World:
        http = await stack.enter_async_context(command_service(database))
        return World(watched(http, "command"), await stack.enter_async_context(connected(database)))

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        world = runner.run(start(stack))
        try:
            yield lambda *arguments, **named: runner.run(world.holds(*arguments, **named))
        finally:
            runner.run(stack.aclose())


def test_any_body_of_a_command(run: Any) -> None:
    @settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
    @given(REQUESTS, TYPES)
    def holds_for(request: tuple[str, bool, bytes], media_type: str) -> None:
        verb, in_pieces, body = request
        run(verb, media_type, body, in_pieces=in_pieces)

    holds_for()
