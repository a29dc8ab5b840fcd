"""Clients that are slow, silent or too many cannot hold a service: real sockets, and what they are told. I10."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER
from tests.support.http import events, plain_client
from tests.support.served import Served, commands_served, served

HEAD = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
BODY = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"


@asynccontextmanager
async def connected(
    port: int, *sent: bytes, receive_buffer: int | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect and send; the connection lasts as long as this."""
    connection = socket.socket()
    connection.setblocking(False)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=receive_buffer or 65_536)
    try:
        writer.write(b"".join(sent))
        yield reader, writer
    finally:
        writer.transport.abort()


async def said(reader: asyncio.StreamReader) -> bytes:
    """Give all that comes until the connection is closed."""
    async with asyncio.timeout(30):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def is_alive(port: int) -> bool:
    async with plain_client() as http:
        return (await http.get(f"http://127.0.0.1:{port}/health/live")).is_success


@pytest.mark.parametrize(
    "sent", [b"", b"G", HEAD, HEAD + b"\r\n" + HEAD], ids=["nothing", "a byte", "a head", "the second"]
)
async def test_a_request_that_does_not_come_is_not_waited_for(database: str, sent: bytes) -> None:
    async with served(database, receive_seconds=0.3) as service:
        async with connected(service.port, sent) as (reader, _):
            assert b" 408 " in await said(reader)
        await service.wait_for_connections(0)


async def test_bytes_that_trickle_in_gain_no_time(database: str) -> None:
    async with served(database, receive_seconds=0.3) as service:
        async with connected(service.port, HEAD) as (reader, writer):
            answer = asyncio.create_task(said(reader))
            while not answer.done():
                writer.write(b"a: b\r\n")
                await asyncio.wait([answer], timeout=0.05)
            # What it sends after the end may reset the connection before it has read why.
            assert answer.result().startswith(b"HTTP/1.1 408 ") or answer.result() == b""
        assert await is_alive(service.port)


async def test_a_body_that_does_not_come_is_not_waited_for(database: str, engine: AsyncEngine) -> None:
    async with commands_served(database, receive_seconds=0.3) as port, connected(port, BODY, b"{") as (reader, _):
        assert (await said(reader)).startswith(b"HTTP/1.1 408 ")
        assert await is_alive(port)
    assert await events(engine) == []


async def test_bodies_on_their_way_take_no_place(database: str, engine: AsyncEngine) -> None:
    async with commands_served(database, max_requests=1) as port, AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(connected(port, BODY, b"{"))
        async with plain_client() as http:
            assert (await http.post(f"http://127.0.0.1:{port}/orders", json=ORDER)).status_code == 201
    assert len(await events(engine)) == 1


async def test_who_takes_no_answers_is_dropped(database: str) -> None:
    """Many requests at once, the answers to which fill every buffer between."""
    request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with served(database, stream_stall=0.3) as service:
        async with connected(service.port, request * 100, receive_buffer=4096):
            await service.wait_for_connections(1)
            await service.wait_for_connections(0)
        assert await is_alive(service.port)


async def test_requests_behind_one_that_is_not_answered_are_bounded(database: str) -> None:
    """An attacker's way to fill the memory: many small requests, the first of which takes its time."""
    patient = b"GET /orders HTTP/1.1\r\nHost: localhost\r\nEvent-Position: 1\r\nPrefer: wait=30\r\n\r\n"
    async with served(database) as service:
        async with connected(service.port, patient, (HEAD + b"\r\n") * 5000) as (reader, _):
            assert await said(reader) == b""
        await service.wait_for_connections(0)
        assert await is_alive(service.port)


async def test_who_has_been_silent_for_longest_makes_room(database: str) -> None:
    async with (
        served(database, max_connections=20, max_streams=10) as service,
        AsyncExitStack() as stack,
    ):
        for _ in range(100):
            await stack.enter_async_context(connected(service.port))
        await _bounded(service, 20)
        assert await is_alive(service.port)


async def test_where_none_is_silent_the_newcomer_is_told(database: str) -> None:
    async with served(database, max_connections=20, max_streams=10) as service:
        async with AsyncExitStack() as stack:
            for _ in range(20):
                await stack.enter_async_context(connected(service.port, HEAD))
            await _bounded(service, 20)
            async with plain_client() as http:
                answer = await http.get(f"{service.url}/orders")
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:daicho:problem:overloaded")
            assert answer.headers["retry-after"]
            assert answer.headers["connection"] == "close"
        await service.wait_for_connections(0)
        assert await is_alive(service.port)


async def _bounded(service: Served, most: int) -> None:
    await service.wait_for_connections(most)


@pytest.mark.parametrize("path", ["/orders", "/orders/batch"])
async def test_a_client_may_ask_before_it_sends_its_body(database: str, path: str) -> None:
    """As curl does with large bodies."""
    body = json.dumps({"command": "PlaceOrder", **ORDER} if "batch" in path else ORDER).encode()
    kind = b"application/x-ndjson" if "batch" in path else b"application/json"
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    async with (
        commands_served(database) as port,
        connected(port, head % (path.encode(), kind, len(body))) as (reader, writer),
    ):
        async with asyncio.timeout(30):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        answer = await said(reader)
    assert answer.startswith(b"HTTP/1.1 20"), answer
    assert b"order_id" in answer
