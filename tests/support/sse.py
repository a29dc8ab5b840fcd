"""A client of Server-Sent Events on a socket of its own, which reads only when told to."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

_READ = 64 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """What is between two blank lines."""

    fields: Mapping[str, str]

    @property
    def is_event(self) -> bool:
        return "data" in self.fields

    @property
    def id(self) -> int:
        return int(self.fields["id"])

    @property
    def event(self) -> Any:
        return json.loads(self.fields["data"])


@dataclass(slots=True)
class SseClient:
    """One connection; `last_id` is what a browser would send as `Last-Event-ID`; `ended`: the stream was not just cut off."""

    socket: socket.socket
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    last_id: int | None = None
    ended: bool = False
    _raw: bytearray = field(default_factory=bytearray)
    _text: bytearray = field(default_factory=bytearray)

    async def next(self) -> Message | None:
        """Give the next message; None: the stream has ended."""
        while (end := self._text.find(b"\n\n")) < 0:
            chunk = await self.chunk()
            if not chunk:
                return None
            self._text += chunk
        text = self._text[:end].decode()
        del self._text[: end + 2]
        message = Message(dict(_field(line) for line in text.split("\n")))
        self.last_id = int(message.fields.get("id", self.last_id or 0))
        return message

    async def events(self, count: int) -> list[Any]:
        """Give so many events."""
        found: list[Any] = []
        while len(found) < count:
            message = await self.next()
            assert message is not None, f"the stream ended after {len(found)} of {count} events"
            if message.is_event:
                found.append(message.event)
        return found

    async def positions(self, count: int) -> list[int]:
        return [event["position"] for event in await self.events(count)]

    async def chunk(self) -> bytes:
        """Give the content of the next chunk (RFC 9112); none when the stream has ended, by its end or without."""
        try:
            size = int(await self._until(b"\r\n"), 16)
            content = await self._take(size + 2)
        except ConnectionError:
            return b""
        self.ended = size == 0
        return content[:-2]

    async def problem(self) -> Any:
        return json.loads(await self._take(int(self.headers["content-length"])))

    async def read_head(self) -> None:
        status, *lines = (await self._until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.status = int(status.split(" ")[1])
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    async def _until(self, mark: bytes) -> bytes:
        while (end := self._raw.find(mark)) < 0:
            await self._receive()
        return (await self._take(end + len(mark)))[:end]

    async def _take(self, size: int) -> bytes:
        while len(self._raw) < size:
            await self._receive()
        content = bytes(self._raw[:size])
        del self._raw[:size]
        return content

    async def _receive(self) -> None:
        received = await asyncio.get_running_loop().sock_recv(self.socket, _READ)
        if not received:
            raise ConnectionResetError("the stream was cut off")
        self._raw += received


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name or "comment", value.removeprefix(" ")


@asynccontextmanager
async def connected(
    port: int,
    *,
    last_event_id: object = None,
    receive_buffer: int | None = None,
    **parameters: str | int | Sequence[str],
) -> AsyncIterator[SseClient]:
    """Connect, ask for the stream, and read the head of the answer."""
    with socket.socket() as plain:
        plain.setblocking(False)
        if receive_buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(plain, ("127.0.0.1", port))
        header = "" if last_event_id is None else f"Last-Event-ID: {last_event_id}\r\n"
        path = f"/events/stream?{urlencode(parameters, doseq=True)}"
        await loop.sock_sendall(plain, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
        client = SseClient(plain)
        await client.read_head()
        yield client


@asynccontextmanager
async def streaming(port: int, **parameters: Any) -> AsyncIterator[SseClient]:
    """Connect, and see that the stream is open and tells from where."""
    async with connected(port, **parameters) as client:
        assert client.status == 200, await client.problem()
        opening = await client.next()
        assert opening is not None
        assert not opening.is_event
        assert client.last_id is not None
        yield client
