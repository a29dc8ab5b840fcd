"""The connection goes and comes back: what is shown is right again, and nothing was loaded anew."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.dashboard import Dashboard, live, tile

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


async def loads(page: Page) -> int:
    return int(await page.evaluate("performance.getEntriesByType('navigation').length && performance.timeOrigin"))


async def test_a_service_that_was_away_is_followed_from_where_it_was(dashboard: Dashboard) -> None:
    await dashboard.place("Before")
    page = await dashboard.window()
    loaded = await loads(page)
    await dashboard.query.kill()
    await page.wait_for_selector("#connection[data-state=reconnecting]")
    await expect(tile(page, "Orders today")).to_have_text("1")
    await dashboard.place("Meanwhile")
    await dashboard.query.start()
    await live(page)
    await expect(tile(page, "Orders today")).to_have_text("2")
    await expect(page.locator(".feed")).to_contain_text("Meanwhile")
    await expect(page.locator("section.orders tbody")).to_contain_text("Meanwhile")
    await expect(page.locator(".feed li")).to_have_count(2)
    await dashboard.place("After")
    await expect(page.locator(".feed li").first).to_contain_text("After")
    assert await loads(page) == loaded


async def test_a_browser_that_was_offline_catches_up(dashboard: Dashboard) -> None:
    order_id = await dashboard.place()
    page = await dashboard.window(f"/?order={order_id}")
    await page.context.set_offline(offline=True)
    await dashboard.query.kill()
    await page.wait_for_selector("#connection[data-state=reconnecting]")
    await dashboard.post(f"/orders/{order_id}/confirm", {})
    await dashboard.query.start()
    await page.context.set_offline(offline=False)
    await live(page)
    await expect(page.locator(".order-status")).to_contain_text("Confirmed")


async def test_after_a_long_absence_the_feed_begins_again(dashboard: Dashboard) -> None:
    await dashboard.place("Before")
    page = await dashboard.window()
    await dashboard.query.kill()
    await page.wait_for_selector("#connection[data-state=reconnecting]")
    await page.evaluate("globalThis.stayed = true")
    for number in range(40):
        await dashboard.place(f"Customer {number}")
    await dashboard.query.start()
    await expect(page.locator(".feed li").first).to_contain_text("Customer 39")
    await expect(page.locator(".feed li")).to_have_count(30)
    await expect(tile(page, "Orders today")).to_have_text("41")
    assert await page.evaluate("stayed")


async def test_paused_nothing_moves_and_then_it_is_right(dashboard: Dashboard) -> None:
    page = await dashboard.window()
    await page.get_by_role("button", name="Pause live updates").click()
    await expect(page.locator("#connection")).to_have_text("Paused")
    other = await dashboard.window()
    await dashboard.place()
    await expect(tile(other, "Orders today")).to_have_text("1")
    await expect(tile(page, "Orders today")).to_have_text("0")
    await page.get_by_role("button", name="Pause live updates").click()
    await expect(tile(page, "Orders today")).to_have_text("1")
    await expect(page.locator(".feed li")).to_have_count(1)


async def test_another_ledger_at_the_same_address_is_shown_from_its_beginning(
    dashboard: Dashboard, second_database: str
) -> None:
    for customer in ("One", "Two", "Three"):
        await dashboard.place(customer)
    page = await dashboard.window()
    await expect(tile(page, "Orders today")).to_have_text("3")
    for service in (dashboard.query, dashboard.command):
        await service.kill()
        service.environment = {**service.environment, "DAICHO_DATABASE_URL": second_database}
        await service.start()
    await expect(tile(page, "Orders today")).to_have_text("0")
    await dashboard.place("Another")
    await expect(tile(page, "Orders today")).to_have_text("1")
