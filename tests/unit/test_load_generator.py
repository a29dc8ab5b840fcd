"""The benchmarks' load generator, against a server of a few lines."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from benchmarks.generator import main, rendered
from benchmarks.load import Load, Requests
from benchmarks.results import percentile

OK, FAILED = b"200 OK", b"500 Internal Server Error"


@asynccontextmanager
async def answering(answer: Callable[[int], bytes | None]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Give the URL of a server, and the heads of the requests that it gets; None as an answer closes the connection."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                status = answer(len(heads))
                if status is None:
                    break
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\n{}" % status)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


async def load(url: str, ids: Path, count: int, rate: float = 0.0, connections: int = 2) -> Load:
    ids.write_text("\n".join(map(str, range(count))), "utf-8")
    requests = Requests(urls=(url,), path="/things/{id}", method="GET", ids=ids, connections=connections)
    return await main(requests, seconds=60.0 if not rate else count / rate, rate=rate)


@pytest.mark.parametrize("rate", [0.0, 500.0])
async def test_every_id_is_asked_for_once_and_every_answer_counted(tmp_path: Path, rate: float) -> None:
    async with answering(lambda _: OK) as (url, heads):
        found = await load(url, tmp_path / "ids", 40, rate)
    assert sorted(int(head.split()[1].removeprefix(b"/things/")) for head in heads) == list(range(40))
    assert (found.answers, found.failed) == (40, {})
    assert 0 < found.median <= found.p99


async def test_what_is_no_success_is_told(tmp_path: Path) -> None:
    async with answering(lambda number: FAILED if number % 4 == 0 else OK) as (url, _):
        found = await load(url, tmp_path / "ids", 40)
    assert (found.answers, found.failed) == (40, {500: 10})


async def test_an_answer_that_does_not_come_is_a_failure(tmp_path: Path) -> None:
    async with answering(lambda number: None if number == 3 else OK) as (url, _):
        found = await load(url, tmp_path / "ids", 3, connections=1)
    assert found.failed == {0: 1}


async def test_at_a_rate_latency_counts_from_when_a_request_was_due(tmp_path: Path) -> None:
    """One connection, a first answer that takes as long as all others are due: they waited, and it shows."""
    answered = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        while await reader.readline() != b"\r\n":
            pass
        await asyncio.sleep(0.3)  # the stall that is measured
        for _ in range(20):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            answered += 1
            if answered < 20:
                while await reader.readline() != b"\r\n":
                    pass
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        found = await load(url, tmp_path / "ids", 20, rate=100.0, connections=1)
    assert (found.answers, found.failed) == (20, {})
    assert found.median >= 100, (
        "in milliseconds: half of them were due 0.1 to 0.2 seconds before the first was answered"
    )


def test_each_request_has_a_key_of_its_own_and_each_line_too() -> None:
    requests = Requests(urls=("http://x",), path="/", headers={"Key": "{key}"}, body='{"key": "{key}"}\n', lines=3)
    one, other = rendered(requests, "t", None), rendered(requests, "t", None)
    keys = []
    for next_request in (one, one, other):
        request = next_request()
        assert request is not None
        head, _, body = request.decode().partition("\r\n\r\n")
        assert f"Content-Length: {len(body)}" in head
        assert "Authorization: Bearer t" in head
        keys += [line for line in [*head.splitlines(), *body.splitlines()] if "key" in line.lower()]
    assert len(keys) == len(set(keys)) == 3 * (1 + 3)


@pytest.mark.parametrize(("hundredths", "value"), [(0, 1.0), (50, 50.0), (99, 99.0), (100, 100.0)])
def test_a_percentile_is_what_so_many_do_not_exceed(hundredths: int, value: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], hundredths) == value
    assert percentile([], hundredths) == 0.0
