"""An issuer that publishes its keys at a URL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.tokens import SigningKey, key_set


class Publisher:
    """An HTTP server that answers everything with the same."""

    def __init__(self, *keys: SigningKey) -> None:
        self.status = "200 OK"
        self.content = key_set(*keys)
        self.requests = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.content)}\r\nConnection: close\r\n"
        writer.write(f"{head}Location: {self.url}\r\n\r\n".encode() + self.content)
        writer.close()


@asynccontextmanager
async def publishing(*keys: SigningKey) -> AsyncIterator[Publisher]:
    publisher = Publisher(*keys)
    async with await asyncio.start_server(publisher.answer, "127.0.0.1", 0) as server:
        publisher.port = server.sockets[0].getsockname()[1]
        yield publisher
