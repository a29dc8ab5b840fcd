"""Every page, light and dark, narrow and wide: axe finds no violation, nothing is wider than the window, keys suffice."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.dashboard import Dashboard, live

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1" / "axe.min.js"
RUN_AXE = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations.map(
    ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target, html }) => `${target} ${html.slice(0, 120)}`).join(" | ")}`)"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
async def test_nothing_keeps_anyone_out(dashboard: Dashboard, width: int, theme: str) -> None:
    page = await dashboard.window(color_scheme=theme, viewport={"width": width, "height": 900}, reduced_motion="reduce")
    await assert_sound(page, "empty overview")
    order_id = await dashboard.place()
    for step in ("confirm", "ship"):
        await dashboard.post(f"/orders/{order_id}/{step}", {"carrier": "Yamato"} if step == "ship" else {})
    pending = await dashboard.place("Ben Ōe")
    await dashboard.post(f"/orders/{await dashboard.place('Zoë')}/cancel", {"reason": "Out of stock"})
    await expect(page.locator("section.orders tbody tr")).to_have_count(3)
    await expect(page.locator(".feed li")).to_have_count(6)
    await page.get_by_text("The numbers as a table").click()
    await page.get_by_text("More filters").click()
    await assert_sound(page, "overview")
    await page.get_by_role("button", name="Place order").click()
    await page.get_by_text("Shipping address").click()
    await page.get_by_role("dialog").get_by_role("button", name="Place order").click()
    await expect(page.get_by_role("textbox", name="Customer’s name")).to_have_attribute("aria-invalid", "true")
    await assert_sound(page, "dialog with problems")
    for name, path in {"order": f"/?order={order_id}", "pending order": f"/?order={pending}"}.items():
        await page.goto(f"{dashboard.query.url}{path}")
        await live(page)
        await expect(page.locator(".timeline li").first).to_be_visible()
        await assert_sound(page, name)
    await page.goto(f"{dashboard.query.url}/?order={order_id}")
    await page.get_by_role("button", name="Order placed").click()
    await expect(page.locator(".banner")).to_be_visible()
    await assert_sound(page, "order as it was")
    await page.goto(f"{dashboard.query.url}/?order=none")
    await expect(page.get_by_text("There is no order")).to_be_visible()
    await assert_sound(page, "no order")
    await page.goto(f"{dashboard.query.url}/?view=projections")
    await expect(page.get_by_role("heading", name="order_items")).to_be_visible()
    await assert_sound(page, "projections")


async def assert_sound(page: Page, name: str) -> None:
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    assert await page.evaluate(RUN_AXE) == [], name
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{name} is too wide"


async def test_keys_suffice_to_place_and_confirm(dashboard: Dashboard) -> None:
    page = await dashboard.window()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.get_by_role("button", name="Place order").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("textbox", name="Customer’s name")).to_be_focused()
    await page.keyboard.type("Noor")
    for text in ("", "Cup", "3", "9.00"):
        await page.keyboard.press("Tab")
        if text:
            await page.keyboard.press("Control+A")
            await page.keyboard.type(text)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Order of Noor")).to_be_focused()
    await page.get_by_role("button", name="Confirm").press("Enter")
    await expect(page.locator(".order-status")).to_contain_text("Confirmed")
    await expect(page.locator("#announcements")).to_have_text("The order is confirmed.")


async def test_the_theme_that_was_chosen_stays(dashboard: Dashboard) -> None:
    page = await dashboard.window(color_scheme="light")
    light = await ground(page)
    await page.get_by_role("button", name="Change between light and dark").click()
    dark = await ground(page)
    assert dark != light
    await page.reload()
    await live(page)
    assert await ground(page) == dark


async def ground(page: Page) -> Any:
    return await page.evaluate("getComputedStyle(document.body).backgroundColor")


async def test_a_row_that_has_the_focus_keeps_it_while_orders_come(dashboard: Dashboard) -> None:
    order_id = await dashboard.place("Aiko")
    page = await dashboard.window()
    link = page.locator("section.orders").get_by_role("link", name="Aiko")
    await link.focus()

    for customer in ("Ben", "Zoë"):
        await dashboard.place(customer)
    await expect(page.locator("section.orders tbody tr")).to_have_count(3)
    await expect(link).to_be_focused()
    await dashboard.post(f"/orders/{order_id}/confirm", {})
    await expect(page.locator("section.orders tbody tr").last).to_contain_text("Confirmed")
    await expect(link).to_be_focused()
