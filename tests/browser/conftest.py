"""Fixtures of the browser tests: one Chromium, on one event loop with all of them, and both services as processes."""

import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.browser.dashboard import Dashboard, dashboard_on
from tests.support.databases import Administrator, connected

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that the other worker is not done long before."""
    items.sort(key=lambda item: item.path.name != "test_speed.py")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no Chromium: on Debian, apt install chromium")
    expect.set_options(timeout=20_000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def dashboard(database: str, chromium: Browser) -> AsyncIterator[Dashboard]:
    async with dashboard_on(database, chromium) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    async with connected(database) as engine:
        yield engine


@pytest.fixture
def second_database(administrator: Administrator, template: str) -> Iterator[str]:
    with administrator.cloned(template) as url:
        yield url
