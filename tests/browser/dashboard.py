"""The dashboard as it runs, and windows that look at it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Locator, Page

from tests.support.apps import ORDER
from tests.support.http import plain_client
from tests.support.processes import Process, free_port


@dataclass(slots=True)
class Dashboard:
    """Both services, and what the windows asked of whom and complained about."""

    command: Process
    query: Process
    browser: Browser
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    """What other clients send with each command."""

    async def context(self, **options: Any) -> BrowserContext:
        """Give a browser of its own: no cache and nothing remembered."""
        context = await self.browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(20_000)
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("console", lambda message: self._said(message.type, message.text))
        return context

    async def window(self, path: str = "/", **options: Any) -> Page:
        """Open a page and wait until it is live."""
        page = await (await self.context(**options)).new_page()
        await page.goto(f"{self.query.url}{path}")
        await live(page)
        return page

    async def post(self, path: str, body: Any) -> dict[str, Any]:
        """Send a command as another client."""
        async with plain_client(base_url=self.command.url, headers=self.headers) as http:
            answer = await http.post(path, json=body)
        assert answer.is_success, answer.text
        content: dict[str, Any] = answer.json()
        return content

    async def place(self, customer: str = "Aiko Tanaka") -> str:
        """Place an order of 73.00 as another client; give its id."""
        return str((await self.post("/orders", {**ORDER, "customer_name": customer}))["order_id"])

    def hosts(self) -> set[str]:
        """Give the origins that were asked anything."""
        parts = [urlsplit(url) for url in self.requests if not url.startswith("data:")]
        return {f"{part.scheme}://{part.netloc}" for part in parts}

    def _said(self, kind: str, text: str) -> None:
        # An answer with an error status is told of on the console; which ones are meant, each test says itself.
        if kind in {"error", "warning"} and not text.startswith("Failed to load resource"):
            self.complaints.append(text)


async def live(page: Page) -> None:
    await page.wait_for_selector("#connection[data-state=live]")


def tile(page: Page, name: str) -> Locator:
    """Give the value of a figure at the top of the overview."""
    return page.locator(".tile", has_text=name).locator(".value")


@asynccontextmanager
async def dashboard_on(
    database: str, browser: Browser, both: Mapping[str, str] | None = None, **settings: str
) -> AsyncIterator[Dashboard]:
    """Run both services on a database, told of one another as `daicho up` tells them; see that nothing else was asked.

    `both` have some settings, the query service has others.
    """
    here = "http://127.0.0.1"
    ports = free_port(), free_port()
    url = {"DAICHO_DATABASE_URL": database, **(both or {})}
    other = {"command": f"{here}:{ports[0]}", "query": f"{here}:{ports[1]}"}
    command = Process(
        "command_service.main:create", ports[0], {**url, "DAICHO_CORS_ORIGINS": other["query"]}, is_forked=True
    )
    query = Process(
        "query_service.main:create",
        ports[1],
        {**url, "DAICHO_COMMAND_URL": other["command"], **settings},
        is_forked=True,
    )
    running = Dashboard(command, query, browser)
    try:
        await asyncio.gather(command.start(), query.start())
        try:
            yield running
        finally:
            for context in browser.contexts:
                await context.close()
    finally:
        await asyncio.gather(command.stop(), query.stop())
    assert not running.complaints, running.complaints
    assert running.hosts() <= {command.url, query.url}, "another host was asked something"
