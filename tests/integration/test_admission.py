"""I10: so many requests are worked on at once; the next is told so at once, and health is answered all the same."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.app import create_app
from shared.web.admission import Admission
from tests.integration.test_overload import appends_held
from tests.integration.test_slow_clients import connected, said
from tests.support.apps import ORDER, command_service, command_settings
from tests.support.http import assert_problem, events, place, plain_client
from tests.support.served import commands_served, served, serving
from tests.support.waiting import wait_until

MOST = 3
Way = Callable[[str], AbstractAsyncContextManager[httpx.AsyncClient]]


@asynccontextmanager
async def full(http: httpx.AsyncClient, database: str) -> AsyncIterator["list[asyncio.Task[httpx.Response]]"]:
    """Have as many commands worked on as may be, and one refused."""
    async with appends_held(database):
        tasks = [asyncio.create_task(place(http)) for _ in range(MOST + 1)]
        done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=30)
        assert len(done) == 1
        assert_problem(done.pop().result(), 503, "overloaded")
        yield list(waiting)
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {201}


@asynccontextmanager
async def over_sockets(database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        commands_served(database, max_requests=MOST, cors_origins="http://page.example") as port,
        plain_client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http,
    ):
        yield http


@asynccontextmanager
async def over_asgi(database: str) -> AsyncIterator[httpx.AsyncClient]:
    """As under a server that knows nothing of admission."""
    async with command_service(database, max_requests=MOST, cors_origins="http://page.example") as http:
        yield http


@pytest.mark.parametrize("way", [over_sockets, over_asgi])
async def test_one_request_too_many_is_refused_and_the_others_are_answered(
    database: str, engine: AsyncEngine, way: Way
) -> None:
    async with way(database) as http:
        async with full(http, database):
            refused = await place(http, **{"X-Correlation-ID": "mine"})
            problem = assert_problem(refused, 503, "overloaded")
            assert problem["instance"] == "/orders"
            assert refused.headers["x-correlation-id"] == "mine"
            assert refused.headers["x-content-type-options"] == "nosniff"
            for path in ("/health/live", "/health/ready"):
                assert (await http.get(path)).status_code == 200
        assert (await place(http)).status_code == 201
    assert len(await events(engine)) == MOST + 1


@pytest.mark.parametrize("way", [over_sockets, over_asgi])
async def test_a_page_of_another_origin_may_read_that_it_is_refused(database: str, way: Way) -> None:
    async with way(database) as http, full(http, database):
        refused = await place(http, Origin="http://page.example")
        assert_problem(refused, 503, "overloaded")
        assert refused.headers["access-control-allow-origin"] == "http://page.example"


async def test_a_connection_goes_on_after_a_refusal(database: str) -> None:
    """Whatever the refused request had as a body is no part of the next one."""
    async with over_sockets(database) as http, full(http, database):
        large = {**ORDER, "customer_name": "x" * 500_000}
        for _ in range(3):
            assert_problem(await http.post("/orders", json=large), 503, "overloaded")
        head = await http.head("/orders")
        assert (head.status_code, head.content) == (503, b"")
        assert (await http.get("/health/live")).status_code == 200


async def test_reads_that_wait_for_a_position_take_no_place(database: str) -> None:
    async with (
        served(database, max_requests=1) as service,
        plain_client(base_url=service.url, timeout=30) as http,
    ):
        patient = {"Event-Position": "1", "Prefer": "wait=30"}
        waiting = []
        for count in range(1, 6):
            waiting.append(asyncio.create_task(http.get("/orders", headers=patient)))
            await wait_until(partial(_wait, service.server.config.app, count), f"{count} reads wait")
        assert (await http.get("/orders")).status_code == 200
        async with command_service(database) as commands:
            assert (await place(commands)).status_code == 201
        assert {(await one).status_code for one in waiting} == {200}


async def _wait(app: object, count: int) -> bool:
    return app.state.admission.aside == count  # type: ignore[attr-defined,no-any-return]


async def test_bodies_that_end_at_once_take_no_more_places_than_there_are(database: str, engine: AsyncEngine) -> None:
    app = create_app(command_settings(database, max_requests=MOST))
    async with serving(app) as (port, _), AsyncExitStack() as stack:
        content = json.dumps(ORDER).encode()
        head = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
        sent = head + b"Content-Length: %d\r\n\r\n" % len(content) + content[:-1]
        clients = [await stack.enter_async_context(connected(port, sent)) for _ in range(20)]
        admission = app.state.admission
        await wait_until(lambda: _are_aside(admission, 20), "all are on their way")
        async with appends_held(database):
            for _, writer in clients:
                writer.write(content[-1:])
            await wait_until(lambda: _are_shed(admission, 20 - MOST), "all but a few are refused")
            assert admission.in_flight == MOST
        answers = [await said(reader) for reader, _ in clients]
    assert sorted(answer[9:12] for answer in answers) == [b"201"] * MOST + [b"503"] * (20 - MOST)
    assert sum(b"urn:daicho:problem:overloaded" in answer for answer in answers) == 20 - MOST
    assert len(await events(engine)) == MOST


async def test_large_bodies_are_bounded_together_and_small_ones_come_all_the_same(database: str) -> None:
    app = create_app(command_settings(database))
    admission = app.state.admission
    admission.bounds = replace(admission.bounds, body_bytes=200_000)
    large = json.dumps({**ORDER, "customer_name": "x" * 250_000}).encode()
    head = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    sent = head % len(large) + large[:200_000]
    async with serving(app) as (port, _), connected(port, sent):
        await wait_until(lambda: _holds(admission, 100_000), "a large body is on its way")
        async with connected(port, sent) as (reader, _):
            assert b" 503 " in await reader.readline()
        async with plain_client() as http:
            assert (await http.post(f"http://127.0.0.1:{port}/orders", json=ORDER)).status_code == 201
    assert admission.body_bytes == 0


async def _holds(admission: Admission, least: int) -> bool:
    return admission.body_bytes >= least


async def _are_aside(admission: Admission, count: int) -> bool:
    return admission.aside == count


async def _are_shed(admission: Admission, count: int) -> bool:
    return admission.shed == count
