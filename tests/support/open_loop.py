"""A load that does not wait for answers: so many orders a second, whatever the service makes of them.

`python -m tests.support.open_loop PORT RATE SECONDS` prints what became of them, as JSON. A rate of 0 is a closed loop: each
of 64 connections sends its next order when it has its answer.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass, field
from typing import cast
from uuid import UUID, uuid4

import uvloop

from tests.support.apps import ORDER
from tests.support.waiting import wait_until

_CONNECTIONS = 1000
_CLOSED = 64
_PAUSE = 0.005
_PATIENCE = 30.0
_OVERLOADED = (b"application/problem+json", b"retry-after: ", b'"urn:daicho:problem:overloaded"')
_ID = str(UUID(int=0))
_BODY = json.dumps({"order_id": _ID, **ORDER}).encode()
_HEAD = (
    b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    % len(_BODY)
)
_BEFORE, _AFTER = (_HEAD + _BODY).split(_ID.encode())


@dataclass(slots=True)
class Result:
    """What became of the orders: those placed, seconds until each answer, and whatever was no proper answer."""

    seconds: float = 0.0
    sent: int = 0
    unsent: int = 0
    placed: list[str] = field(default_factory=list)
    placed_after: list[float] = field(default_factory=list)
    shed_after: list[float] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


class _Connection(asyncio.Protocol):
    """One request at a time; `free` gets it back after the answer."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._received = b""
        self._sent_at = 0.0
        self._order_id = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, now: float) -> None:
        self._sent_at, self._order_id = now, str(uuid4())
        self._transport.write(_BEFORE + self._order_id.encode() + _AFTER)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        lower = head.lower()
        length = int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._received = b""
        self._load.answered(self, self._order_id, head[9:12], lower + body, self._sent_at)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(self, exc)


class _Load:
    def __init__(self, *, is_closed: bool) -> None:
        self.result = Result()
        self.free: list[_Connection] = []
        self.waiting = 0
        self.until = 0.0
        self._is_closed = is_closed
        self._loop = asyncio.get_running_loop()
        self._is_over = False

    async def connect(self, port: int, count: int) -> None:
        for _ in range(count):
            _, connection = await self._loop.create_connection(lambda: _Connection(self), "127.0.0.1", port)
            self.free.append(connection)

    def send(self) -> None:
        if not self.free:
            self.result.unsent += 1
            return
        self.waiting += 1
        self.result.sent += 1
        self.free.pop().send(self._loop.time())

    def answered(self, by: _Connection, order_id: str, status: bytes, answer: bytes, sent_at: float) -> None:
        now = self._loop.time()
        self.waiting -= 1
        self.free.append(by)
        if status == b"201":
            self.result.placed.append(order_id)
            self.result.placed_after.append(now - sent_at)
        elif status == b"503" and all(part in answer for part in _OVERLOADED):
            self.result.shed_after.append(now - sent_at)
        else:
            self.result.odd.append(answer.decode(errors="replace"))
        if self._is_closed and now < self.until:
            self.send()

    def lost(self, connection: _Connection, error: Exception | None) -> None:
        if not self._is_over:
            self.result.odd.append(f"a connection was lost: {error!r}")
            if connection in self.free:
                self.free.remove(connection)

    async def run(self, rate: float, seconds: float) -> Result:
        start = self._loop.time()
        self.until = start + seconds
        offered = 0
        while (now := self._loop.time()) < self.until:
            for number in range(offered, int((now - start) * rate) if rate else _CLOSED):
                self.send()
                offered = number + 1
            await asyncio.sleep(_PAUSE)
        self.result.seconds = self._loop.time() - start

        async def all_answered() -> bool:
            return not self.waiting

        await wait_until(all_answered, "every request is answered", _PATIENCE)
        self._is_over = True
        return self.result


async def _main(port: int, rate: float, seconds: float) -> Result:
    load = _Load(is_closed=not rate)
    await load.connect(port, _CONNECTIONS if rate else _CLOSED)
    return await load.run(rate, seconds)


if __name__ == "__main__":
    told = uvloop.run(_main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
    sys.stdout.write(json.dumps(asdict(told)))
