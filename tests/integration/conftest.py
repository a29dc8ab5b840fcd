"""Fixtures of the integration tests; whatever they are answered, the API documents tell."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from tests.support.apps import command_service, query_service
from tests.support.databases import Server, cloned, connected
from tests.support.documented import watched
from tests.support.partitioned import OF, Replica, divide


@pytest.fixture
async def commands(database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with command_service(database) as client:
        yield watched(client, "command")


@pytest.fixture
async def http(database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with query_service(database) as client:
        yield watched(client, "query")


@pytest.fixture
def store(engine: AsyncEngine) -> PostgresEventStore:
    return PostgresEventStore(engine)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unchanged(postgres: Server, template: str) -> AsyncIterator[str]:
    """The URL of an empty database for the tests of a module that change nothing."""
    async with cloned(postgres, template) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def unchanged_engine(unchanged: str) -> AsyncIterator[AsyncEngine]:
    async with connected(unchanged) as engine:
        yield engine


@pytest.fixture(scope="module")
def refusing() -> Mapping[str, Mapping[str, Any]]:
    """The settings of both services that change nothing; a module may have its own."""
    return {"command": {}, "query": {}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusing_commands(
    unchanged: str, refusing: Mapping[str, Mapping[str, Any]]
) -> AsyncIterator[httpx.AsyncClient]:
    async with command_service(unchanged, **refusing["command"]) as client:
        yield watched(client, "command")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusing_queries(
    unchanged: str, refusing: Mapping[str, Mapping[str, Any]]
) -> AsyncIterator[httpx.AsyncClient]:
    async with query_service(unchanged, **refusing["query"]) as client:
        yield watched(client, "query")


@pytest.fixture
async def read_engine(database: str) -> AsyncIterator[AsyncEngine]:
    async with connected(database, 8, autocommit=False) as engine:
        yield engine


@pytest.fixture
async def replicas(engine: AsyncEngine, read_engine: AsyncEngine) -> AsyncIterator[Sequence[Replica]]:
    """Two, on projections divided into four, one after the other told of the other."""
    await divide(read_engine, OF)
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(read_engine.connect()) for _ in range(4)]
        yield [Replica(engine, connections[2 * n : 2 * n + 2]) for n in range(2)]
