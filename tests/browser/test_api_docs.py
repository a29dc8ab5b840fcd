"""`/docs` of both services, drawn with the network closed to every other host."""

import re
from typing import Any

import pytest
from playwright.async_api import Route, expect

from tests.browser.dashboard import Dashboard
from tests.support.http import plain_client

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


@pytest.mark.parametrize("name", ["command", "query"])
async def test_every_operation_is_shown_from_assets_of_our_own(dashboard: Dashboard, name: str) -> None:
    """That nobody else was asked, and that nothing was complained about, the fixture sees at its end."""
    url = {"command": dashboard.command.url, "query": dashboard.query.url}[name]
    async with plain_client() as http:
        document = (await http.get(f"{url}/openapi.json")).json()

    async def only_ours(route: Route) -> None:
        await (route.continue_() if route.request.url.startswith((f"{url}/", "data:")) else route.abort())

    context = await dashboard.context()
    await context.route(re.compile(".*"), only_ours)
    page = await context.new_page()
    await page.goto(f"{url}/docs")
    await expect(page.locator(".opblock")).to_have_count(len(operations(document)))
    for operation in operations(document):
        await expect(page.get_by_text(operation["summary"], exact=True).first).to_be_visible()
    await page.locator(".opblock").first.click()
    await expect(page.get_by_role("button", name="Try it out").first).to_be_visible()
