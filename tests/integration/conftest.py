"""Fixtures of the integration tests."""

from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from tests.support.apps import command_service, query_service


@pytest.fixture
async def commands(database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with command_service(database) as client:
        yield client


@pytest.fixture
async def http(database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with query_service(database) as client:
        yield client


@pytest.fixture
def store(engine: AsyncEngine) -> PostgresEventStore:
    return PostgresEventStore(engine)
