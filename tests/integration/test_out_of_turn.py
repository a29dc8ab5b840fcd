"""However a connection ends, no request is given the answer of another: what came before is answered, then it closes. I1."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.app import create_app
from tests.integration.test_overload import append_waits, appends_held
from tests.integration.test_slow_clients import connected, said
from tests.support.apps import ORDER, command_settings
from tests.support.http import events, place, plain_client
from tests.support.served import commands_served, serving
from tests.support.waiting import wait_until

CONTENT = json.dumps(ORDER).encode()
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
_LARGE = LIVE + b"a: " + b"x" * 40_000


def command(length: int = len(CONTENT)) -> bytes:
    return (
        b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % length
    )


@pytest.mark.parametrize(
    "then",
    [b"G", b"\0bad\r\n\r\n", _LARGE, LIVE + b"\r\n" + b"G", LIVE + b"\r\n" + command() + b"{", command() + b"{"],
    ids=["408", "400", "431", "behind two", "a third's body", "a body"],
)
async def test_an_earlier_command_is_answered_and_nothing_in_its_place(
    database: str, engine: AsyncEngine, then: bytes
) -> None:
    async with commands_served(database, receive_seconds=0.5) as port, AsyncExitStack() as stack:
        async with appends_held(database):
            reader, _ = await stack.enter_async_context(connected(port, command(), CONTENT, then))
            await wait_until(lambda: append_waits(engine), "an append waits for the lock")
            answer = asyncio.create_task(said(reader))
            done, _ = await asyncio.wait([answer], timeout=1.0)
            assert not done
        statuses = [line for line in (await answer).split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
        assert statuses[0].startswith(b"HTTP/1.1 201 ")
        assert all(line.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 408 ")) for line in statuses[1:])
    assert len(await events(engine)) == 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"\0bad\r\n\r\n", 400), (LIVE, 408), (_LARGE, 431)],
)
async def test_the_last_answer_of_a_connection_is_a_problem(database: str, sent: bytes, status: int) -> None:
    async with commands_served(database, receive_seconds=0.3) as port, connected(port, sent) as (reader, _):
        head, _, content = (await said(reader)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/problem+json\r\n" in head
    assert b"x-correlation-id: " in head
    problem = json.loads(content)
    assert (problem["type"], problem["status"]) == ("about:blank", status)
    assert problem["title"]
    assert problem["detail"]


async def test_a_request_that_is_answered_already_is_told_nothing_else(database: str) -> None:
    """Its body is far too large, and does not come."""
    async with (
        commands_served(database, receive_seconds=0.3) as port,
        connected(port, command(10_000_000), b"{") as (reader, _),
    ):
        answer = await said(reader)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_a_request_has_its_time_from_its_first_byte_on(database: str, engine: AsyncEngine) -> None:
    async with commands_served(database, receive_seconds=2) as port, connected(port) as (reader, writer):
        loop = asyncio.get_running_loop()
        started = loop.time()

        def after(seconds: float) -> asyncio.Future[None]:
            passed = loop.create_future()
            loop.call_at(started + seconds, passed.set_result, None)
            return passed

        await after(1.5)
        writer.write(command())
        await after(2.5)
        writer.write(CONTENT)
        assert (await reader.readline()).startswith(b"HTTP/1.1 201 ")
    assert len(await events(engine)) == 1


async def test_bytes_that_are_no_request_are_not_waited_for(database: str) -> None:
    """An empty line behind an answer begins none."""
    async with (
        commands_served(database, receive_seconds=0.3) as port,
        connected(port, LIVE, b"\r\n") as (reader, writer),
    ):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        await reader.readuntil(b"}")
        writer.write(b"\r\n")
        assert (await said(reader)).startswith(b"HTTP/1.1 408 ")


async def test_who_takes_no_refusals_is_cut_off(database: str, engine: AsyncEngine) -> None:
    app = create_app(command_settings(database, max_requests=1))
    async with (
        serving(app) as (port, _),
        plain_client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http,
    ):
        async with appends_held(database):
            first = asyncio.create_task(place(http))
            await wait_until(lambda: append_waits(engine), "an append waits for the lock")
            many = 50_000
            async with connected(port, b"GET / HTTP/1.1\r\n\r\n" * many, receive_buffer=4096) as (reader, _):
                await wait_until(lambda: _is_cut(reader), "it is cut off")
            assert 0 < app.state.admission.shed < many / 2
        assert (await first).status_code == 201


async def _is_cut(reader: asyncio.StreamReader) -> bool:
    return reader.exception() is not None or reader.at_eof()


@pytest.mark.parametrize(
    ("address", "expected"),
    [(b"/health/%6Cive", b"200"), (b"http://localhost", b"503"), (b"http://localhost?x", b"503"), (b"/a%20b", b"503")],
)
async def test_an_address_is_read_once_and_as_the_app_reads_it(
    database: str, engine: AsyncEngine, address: bytes, expected: bytes
) -> None:
    async with (
        commands_served(database, max_requests=1) as port,
        plain_client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http,
    ):
        async with appends_held(database):
            first = asyncio.create_task(place(http))
            await wait_until(lambda: append_waits(engine), "an append waits for the lock")
            request = b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % address
            async with connected(port, request) as (reader, _):
                head, _, content = (await said(reader)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 " + expected)
            if expected == b"503":
                assert json.loads(content)["instance"] == ("/a%20b" if b"%" in address else "/")
        assert (await first).status_code == 201
