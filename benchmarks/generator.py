"""`python -m benchmarks.generator SECONDS RATE < REQUESTS`: sends requests (see `benchmarks.load`), prints what came of them."""

import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httptools
import uvloop

from benchmarks.load import Load, Requests
from benchmarks.results import percentile

_LATE = 10.0
"""Seconds after the end in which answers still count; what is unanswered then has failed."""
_SUCCESS = range(200, 300)


def rendered(requests: Requests, token: str | None, ids: Iterator[str] | None) -> Callable[[], bytes | None]:
    """Give what makes the next request of a connection; None: there are no more ids."""
    headers = {"Host": "127.0.0.1", **requests.headers, **({"Authorization": f"Bearer {token}"} if token else {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    unique, count = uuid4().hex, 0
    keyed_body = "{key}" in requests.body

    def next_request() -> bytes | None:
        nonlocal count
        path = requests.path
        if ids is not None:
            drawn = next(ids, None)
            if drawn is None:
                return None
            path = path.replace("{id}", drawn)
        count += 1
        key = f"{unique}-{count}"
        if keyed_body:
            body = "".join(requests.body.replace("{key}", f"{key}-{line}") for line in range(requests.lines))
        else:
            body = requests.body * requests.lines
        length = f"Content-Length: {len(body.encode())}\r\n" if body or requests.method == "POST" else ""
        return f"{requests.method} {path} HTTP/1.1\r\n{head.replace('{key}', key)}{length}\r\n{body}".encode()

    return next_request


class Connection(asyncio.Protocol):
    """One connection, one request at a time; `answered` is told of each answer."""

    def __init__(self, next_request: Callable[[], bytes | None], answered: "Callable[[Connection, int], None]") -> None:
        self.next_request = next_request
        self.due = 0.0
        self._answered = answered
        self._parser = httptools.HttpResponseParser(self)
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = transport

    def send(self, due: float) -> bool:
        """Send the next request, which was due then; tell whether there was one."""
        request = self.next_request()
        if request is None:
            return False
        self.due = due
        self._transport.write(request)
        return True

    def data_received(self, data: bytes) -> None:
        """Have an answer read."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Tell of the answer."""
        self._answered(self, self._parser.get_status_code())

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - which end it was does not matter
        """Tell that there is no answer, if one was due."""
        if self.due:
            self._answered(self, 0)

    def close(self) -> None:
        """End it."""
        self.due = 0.0
        self._transport.close()


class Generator:
    """Sends on all connections until the end; latencies count from when a request was due."""

    def __init__(self, seconds: float, rate: float) -> None:
        self._seconds = seconds
        self._rate = rate
        self._start = self._last = 0.0
        self._waiting: deque[float] = deque()
        self._free: list[Connection] = []
        self._busy = 0
        self._idle = asyncio.Event()
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()

    async def run(self, connections: list[Connection]) -> None:
        """Send; return when all is answered, or too late."""
        self._free = connections.copy()
        self._start = self._last = time.perf_counter()
        if self._rate:
            await self._send_at_rate()
        else:
            for connection in connections:
                self._send(connection, time.perf_counter())
        try:
            async with asyncio.timeout(self._seconds + _LATE):
                while self._busy or self._waiting:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            self.statuses[0] += self._busy + len(self._waiting)

    @property
    def elapsed(self) -> float:
        """Seconds from the first request to the last answer."""
        return self._last - self._start

    async def _send_at_rate(self) -> None:
        for number in range(int(self._rate * self._seconds)):
            due = self._start + number / self._rate
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            if self._free:
                self._send(self._free.pop(), due)
            else:
                self._waiting.append(due)

    def _send(self, connection: Connection, due: float) -> None:
        if connection.send(due):
            self._busy += 1

    def answered(self, connection: Connection, status: int) -> None:
        """Note an answer, and send what is next on its connection."""
        now = time.perf_counter()
        self._busy -= 1
        self.statuses[status] += 1
        self.latencies.append(now - connection.due)
        self._last, connection.due = now, 0.0
        if status == 0:
            pass
        elif self._rate:
            if self._waiting:
                self._send(connection, self._waiting.popleft())
            else:
                self._free.append(connection)
        elif now < self._start + self._seconds:
            self._send(connection, now)
        if not self._busy and not self._waiting:
            self._idle.set()


async def main(requests: Requests, seconds: float, rate: float) -> Load:
    """Connect, send, and sum up."""
    generator = Generator(seconds, rate)
    connections = await _connect(requests, generator)
    before = time.process_time()
    await generator.run(connections)
    used = time.process_time() - before
    for connection in connections:
        connection.close()
    latencies, elapsed = generator.latencies, generator.elapsed or seconds
    return Load(
        answers=len(generator.latencies),
        rate=len(generator.latencies) / elapsed,
        median=percentile(latencies, 50) * 1e3,
        p99=percentile(latencies, 99) * 1e3,
        generator=used / elapsed,
        failed={status: count for status, count in generator.statuses.items() if status not in _SUCCESS},
    )


async def _connect(requests: Requests, generator: Generator) -> list[Connection]:
    """Open the connections: each has a URL, a token and keys of its own; all draw from the same ids."""
    loop, connections = asyncio.get_running_loop(), []
    ids = iter(requests.ids.read_text("utf-8").split()) if requests.ids else None
    for number in range(requests.connections):
        url = urlsplit(requests.urls[number % len(requests.urls)])
        token = requests.tokens[number % len(requests.tokens)] if requests.tokens else None
        connection = Connection(rendered(requests, token, ids), generator.answered)
        await loop.create_connection(partial(_itself, connection), url.hostname or "", url.port or 80)
        connections.append(connection)
    return connections


def _itself(connection: Connection) -> Connection:
    return connection


if __name__ == "__main__":
    wanted = Requests.model_validate_json(sys.stdin.read())
    print(uvloop.run(main(wanted, float(sys.argv[1]), float(sys.argv[2]))).model_dump_json())
