"""A request's head is bounded: too large a one is refused, whatever its form, and takes no memory. I10."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest

from shared.web.http_protocol import MAX_HEAD_BYTES
from tests.support.http import plain_client
from tests.support.served import Served, served

LINE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
HUGE = 100_000
FLOOD = 64 * 1024 * 1024


@pytest.fixture
async def service(database: str) -> AsyncIterator[Served]:
    async with served(database) as running:
        yield running


@asynccontextmanager
async def connected(service: Served) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answered(service: Served, *pieces: bytes) -> bytes:
    """Send the pieces, each by itself, and give all that comes back until the connection is closed."""
    async with connected(service) as (reader, writer), asyncio.timeout(30):
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return await reader.read()
        except ConnectionError:
            return b"closed"


def refused(answer: bytes) -> bool:
    return answer in (b"", b"closed") or answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "head",
    [
        b"a: " + b"x" * HUGE,
        b"\r\n".join(b"h%d: %s" % (number, b"x" * 100) for number in range(1000)),
        b"Authorization: Bearer " + b"x" * HUGE,
        b"\r\n".join(b"a:" for _ in range(40_000)),
        b"x" * HUGE + b": a",
    ],
    ids=["one long", "many", "token", "empty ones", "a long name"],
)
async def test_a_large_head_is_refused(service: Served, head: bytes) -> None:
    whole = LINE + head + b"\r\n\r\n"
    assert refused(await answered(service, whole))
    assert refused(await answered(service, *(whole[start : start + 1000] for start in range(0, len(whole), 1000))))
    assert refused(await answered(service, LINE + head)), "without an end"


async def test_a_long_path_is_refused(service: Served) -> None:
    assert refused(await answered(service, b"GET /" + b"x" * HUGE + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    assert refused(await answered(service, b"GET /" + b"x" * HUGE))


async def test_a_head_within_the_limit_is_taken(service: Served) -> None:
    async with plain_client() as http:
        for size in (10, MAX_HEAD_BYTES - 1000):
            answer = await http.get(f"{service.url}/health/live", headers={"X-Padding": "x" * size})
            assert answer.status_code == 200


async def test_bodies_and_requests_one_after_the_other_are_no_heads(service: Served) -> None:
    one = b"POST /health/live HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (
        3 * MAX_HEAD_BYTES
    ) + b"x" * (3 * MAX_HEAD_BYTES)
    last = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    content = one * 3 + last
    answer = await answered(service, *(content[start : start + 5000] for start in range(0, len(content), 5000)))
    assert answer.count(b"HTTP/1.1 405 ") == 3
    assert answer.count(b"HTTP/1.1 200 ") == 1


async def test_a_head_without_an_end_takes_no_memory(service: Served) -> None:
    before = psutil.Process().memory_info().rss
    async with connected(service) as (_, writer), asyncio.timeout(60):
        writer.write(LINE + b"a: ")
        sent = 0
        try:
            while sent < FLOOD:
                writer.write(b"x" * 65_536)
                await writer.drain()
                sent += 65_536
        except ConnectionError:
            pass
    assert sent < FLOOD, "the connection was closed"
    assert psutil.Process().memory_info().rss - before < 16 * 1024 * 1024
    async with plain_client() as http:
        assert (await http.get(f"{service.url}/health/live")).status_code == 200
