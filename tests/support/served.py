"""A service in this process, on a port of loopback: for what lasts longer than an answer, and for what is sent oddly."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI

from command_service.app import create_app as create_command_app
from query_service.app import create_app
from query_service.event_streams import EventStreams
from tests.support.apps import command_settings, query_settings
from tests.support.waiting import wait_until

PROTOCOL = "shared.web.http_protocol:BoundedHttp"


@dataclass(frozen=True, slots=True)
class Served:
    """A running service, from outside and from inside."""

    port: int
    streams: EventStreams
    server: uvicorn.Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def wait_for_clients(self, count: int) -> None:
        async def there() -> bool:
            return len(self.streams.tail._followers) == count

        await wait_until(there, f"{count} clients follow the log")

    async def wait_for_connections(self, count: int) -> None:
        async def there() -> bool:
            return len(self.server.server_state.connections) == count

        await wait_until(there, f"{count} connections are open")


@asynccontextmanager
async def serving(app: FastAPI, http: str = PROTOCOL) -> AsyncIterator[tuple[int, uvicorn.Server]]:
    """Run an app while this lasts, over one of uvicorn's protocols or ours; give its port."""
    server = uvicorn.Server(uvicorn.Config(app, http=http, ws="none", log_config=None, timeout_graceful_shutdown=5))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve([listening]))

        async def started() -> bool:
            assert not task.done(), "the service did not start"
            return server.started

        try:
            await wait_until(started, "the service has started")
            yield listening.getsockname()[1], server
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def served(database: str, *, http: str = PROTOCOL, **settings: Any) -> AsyncIterator[Served]:
    """Run the query service while this lasts, over one of uvicorn's protocols or ours."""
    app = create_app(query_settings(database, **settings))
    async with serving(app, http) as (port, server):
        try:
            yield Served(port, app.state.event_streams, server)
        finally:
            app.state.event_streams.tail.close()


@asynccontextmanager
async def commands_served(database: str, **settings: Any) -> AsyncIterator[int]:
    """Run the command service while this lasts; give its port."""
    async with serving(create_command_app(command_settings(database, **settings))) as (port, _):
        yield port
