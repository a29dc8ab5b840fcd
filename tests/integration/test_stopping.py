"""A service that has to end before a request is done tells so as a problem: what is known of it, and no more. I1."""

import asyncio
import json

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.app import create_app
from query_service.app import create_app as create_query_app
from tests.integration.test_overload import append_waits, appends_held
from tests.integration.test_slow_clients import BODY, connected, said
from tests.support.apps import command_settings, query_service, query_settings
from tests.support.databases import connected as connected_to
from tests.support.http import assert_problem, events, get, place, plain_client
from tests.support.served import serving
from tests.support.waiting import wait_until


async def test_a_command_that_is_given_up_may_have_taken_effect(database: str, engine: AsyncEngine) -> None:
    app = create_app(command_settings(database, command_deadline=20))
    async with serving(app) as (port, server), plain_client(timeout=30) as http:
        http.base_url = httpx.URL(f"http://127.0.0.1:{port}")
        server.config.timeout_graceful_shutdown = 1
        async with appends_held(database):
            placed = asyncio.create_task(place(http))
            await wait_until(lambda: append_waits(engine), "an append waits for the lock")
            server.should_exit = True
            assert_problem(await placed, 503, "outcome-unknown")
    assert len(await events(engine)) == 1


async def test_a_command_that_has_not_come_whole_has_had_no_effect(database: str, engine: AsyncEngine) -> None:
    app = create_app(command_settings(database))
    async with serving(app) as (port, server), connected(port, BODY, b"{") as (reader, _):
        server.config.timeout_graceful_shutdown = 1
        await wait_until(lambda: _is_working(app), "its head has come")
        server.should_exit = True
        head, _, content = (await said(reader)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert json.loads(content)["type"] == "urn:daicho:problem:overloaded"
    assert await events(engine) == []


async def test_a_read_that_is_given_up_is_told_to_come_back(database: str) -> None:
    app = create_query_app(query_settings(database))
    async with serving(app) as (port, server), plain_client(timeout=30) as http:
        http.base_url = httpx.URL(f"http://127.0.0.1:{port}")
        server.config.timeout_graceful_shutdown = 1
        async with connected_to(database, 1, autocommit=False) as owner, owner.begin() as connection:
            await connection.execute(text("LOCK TABLE read_model.checkpoints IN ACCESS EXCLUSIVE MODE"))
            read = asyncio.create_task(http.get("/orders"))
            await wait_until(lambda: _is_working(app), "it is being read")
            server.should_exit = True
            assert_problem(await read, 503, "overloaded")
        app.state.event_streams.tail.close()


async def test_who_waits_for_a_position_is_told_at_once(database: str) -> None:
    async with query_service(database) as queries:
        app = queries._transport.app  # type: ignore[attr-defined]
        read = asyncio.create_task(get(queries, "/orders", 1))
        await wait_until(lambda: _is_waiting(app), "it waits")
        app.state.projected.close()
        for answer in (await read, await get(queries, "/orders", 1)):
            assert assert_problem(answer, 503, "overloaded")["detail"] == "The service is stopping."


async def _is_working(app: object) -> bool:
    admission = app.state.admission  # type: ignore[attr-defined]
    return bool(admission.in_flight + admission.aside)


async def _is_waiting(app: object) -> bool:
    return bool(app.state.projected.waiting)  # type: ignore[attr-defined]


def test_a_service_ends_before_whoever_runs_it_kills_it() -> None:
    for one in (command_settings("postgresql:///", command_deadline=300), query_settings("postgresql:///")):
        assert one.stop_seconds >= one.grace_seconds
    assert command_settings("postgresql:///", command_deadline=300).grace_seconds > 300
    assert query_settings("postgresql:///", read_deadline=300).grace_seconds >= 330
