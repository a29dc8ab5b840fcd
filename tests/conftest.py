"""Fixtures: one PostgreSQL for the session, a migrated database of its own for each test."""

import gc
from collections.abc import AsyncIterator, Generator, Iterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.databases import Administrator, Server, connected, migrated_template, server
from tests.support.nats import Nats, nats


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--commands", type=int, default=80, help="commands of each of the 64 clients in the load test")
    parser.addoption(
        "--rebuilt", type=int, default=20_000, help="events in the log of the test that rebuilds under load"
    )
    parser.addoption("--kills", type=int, default=2, help="how often the crash tests of the read side kill a process")
    parser.addoption("--events", type=int, default=20_000, help="events in the log of the large-log test")
    parser.addoption("--orders", type=int, default=20_000, help="orders in the read model of the query-plan tests")
    parser.addoption("--clients", type=int, default=100, help="clients of the event stream in the many-streams test")
    parser.addoption("--overload-seconds", type=float, default=8, help="seconds of each load in the overload test")
    parser.addoption("--rounds", type=int, default=2, help="rounds of the rolling restart of all replicas")
    parser.addoption("--fault-seed", type=int, help="the one seed to run the fault suite with")
    parser.addoption("--fault-seconds", type=float, default=30, help="seconds of load in each run of the fault suite")
    parser.addoption("--history", type=int, default=2000, help="orders in the log of the test of the first paint")
    parser.addoption("--streamed", type=int, default=2000, help="events that each of those clients receives")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector off meanwhile: what is imported and collected stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.enable()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with server() as running:
        yield running


@pytest.fixture(scope="session")
def template(postgres: Server) -> Iterator[str]:
    with migrated_template(postgres) as name:
        yield name


@pytest.fixture(scope="session")
def nats_server() -> Iterator[Nats]:
    with nats(max_payload="16MB") as running:
        yield running


@pytest.fixture(scope="session")
def administrator(postgres: Server) -> Iterator[Administrator]:
    administrator = Administrator(postgres)
    yield administrator
    administrator.close()


@pytest.fixture
def database(administrator: Administrator, template: str) -> Iterator[str]:
    """The URL of a database of the test's own, at both heads, empty."""
    with administrator.cloned(template) as url:
        yield url


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    """An engine in autocommit on the test's database."""
    async with connected(database) as engine:
        yield engine
