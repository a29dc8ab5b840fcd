"""A TCP proxy between a service and PostgreSQL that delays, holds and loses what passes, cuts connections, and lets none in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from sqlalchemy.engine import URL, make_url

_CHUNK = 65_536


class Proxy:
    """Forwards between loopback and the server of a database URL."""

    def __init__(self, target: URL) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._answering = asyncio.Event()
        self._answering.set()
        self._forwarding = asyncio.Event()
        self._forwarding.set()
        self._open = True
        self.to_lose = 0
        self.delay = 0.0
        """Seconds that each piece takes longer, either way."""
        self._marker = b""

    @property
    def url(self) -> str:
        """The database's URL through the proxy."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        url = self._target.set(host="127.0.0.1", port=port, query={})
        return url.render_as_string(hide_password=False)

    def hold_answers(self) -> None:
        """Forward what the service sends, but nothing that comes back."""
        self._answering.clear()

    def hold_requests(self) -> None:
        """Forward nothing that the service sends."""
        self._forwarding.clear()

    def lose_answers(self, marker: bytes, times: int) -> None:
        """Cut the connection instead of answering a request that holds the marker, so many times."""
        self._marker, self.to_lose = marker, times

    def cut(self, *, stay_away: bool = False) -> None:
        """End every connection, and with `stay_away` let no new one in."""
        self._open = not stay_away
        for writer in list(self._writers):
            writer.transport.abort()

    def heal(self) -> None:
        """Forward everything again."""
        self._open = True
        self._answering.set()
        self._forwarding.set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        host, port = self._target.query.get("host", self._target.host or "127.0.0.1"), self._target.port or 5432
        assert isinstance(host, str)
        try:
            if host.startswith("/"):
                there, back = await asyncio.open_unix_connection(str(Path(host) / f".s.PGSQL.{port}"))
            else:
                there, back = await asyncio.open_connection(host, port)
        except OSError:  # The server is down; so is the way to it.
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        lost = asyncio.Event()
        for forward in (self._requests(reader, back, lost), self._answers(there, writer, lost)):
            task = asyncio.create_task(forward)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _requests(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        with suppress(ConnectionError):
            while data := await source.read(_CHUNK):
                await asyncio.sleep(self.delay)
                await self._forwarding.wait()
                if self.to_lose and self._marker in data:
                    self.to_lose -= 1
                    lost.set()
                sink.write(data)
                await sink.drain()
        sink.transport.abort()
        self._writers.discard(sink)

    async def _answers(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        with suppress(ConnectionError):
            while (data := await source.read(_CHUNK)) and not lost.is_set():
                await asyncio.sleep(self.delay)
                await self._answering.wait()
                sink.write(data)
                await sink.drain()
        sink.transport.abort()
        self._writers.discard(sink)


@asynccontextmanager
async def proxied(database: str) -> AsyncIterator[Proxy]:
    """Run a proxy to a database while this lasts."""
    proxy = Proxy(make_url(database))
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
