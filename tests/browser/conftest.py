"""Fixtures of the browser tests: Chromium, and both services as processes."""

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.dashboard import Dashboard, dashboard_on
from tests.support.databases import Server, cloned

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no Chromium: on Debian, apt install chromium")
    expect.set_options(timeout=20_000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def dashboard(database: str, chromium: Browser) -> AsyncIterator[Dashboard]:
    async with dashboard_on(database, chromium) as running:
        yield running


@pytest.fixture
async def second_database(postgres: Server, template: str) -> AsyncIterator[str]:
    async with cloned(postgres, template) as url:
        yield url
