"""A URL with several servers leads to the one that takes writes, and away from one that no longer does."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Appended
from command_service.postgres_store import PostgresEventStore
from shared.errors import DatabaseUnavailable
from shared.event_log.events import Position, Version
from tests.support.databases import Server, connected
from tests.support.events import a_commit, a_stream
from tests.support.proxy import proxied


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """A server that takes connections and says nothing."""
    over = asyncio.Event()

    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        over.set()


@pytest.fixture
async def url(silent: str, database: str) -> AsyncIterator[str]:
    """Two servers, of which the second answers."""
    async with proxied(database) as proxy:
        there = make_url(proxy.url)
        yield proxy.url.replace(f"{there.host}:{there.port}", f"{silent},{there.host}:{there.port}")


async def test_a_silent_server_keeps_nobody_from_the_other(url: str) -> None:
    async with connected(url) as engine:
        assert await PostgresEventStore(engine).head() == 0


async def test_where_no_server_takes_writes_the_database_is_away(postgres: Server, url: str) -> None:
    name = url.rsplit("/", 1)[1]
    async with connected(postgres.admin_url, 1) as admin, connected(url) as engine, admin.connect() as connection:
        store = PostgresEventStore(engine)
        await connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        with pytest.raises(DatabaseUnavailable):
            await store.append([a_commit(a_stream(), 0)])
        await connection.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
        assert await store.append([a_commit(a_stream(), 0)]) == [Appended(Version(1), Position(1), Position(1))]


async def test_connections_to_one_that_no_longer_takes_writes_are_replaced(engine: AsyncEngine) -> None:
    store = PostgresEventStore(engine)
    async with engine.connect() as one, engine.connect() as other:
        for connection in (one, other):
            await connection.execute(text("SET default_transaction_read_only = on"))
    with pytest.raises(DatabaseUnavailable):
        await store.append([a_commit(a_stream(), 0)])
    assert await store.append([a_commit(a_stream(), 0)]) == [Appended(Version(1), Position(1), Position(1))]
