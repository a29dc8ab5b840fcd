"""The whole story of an order, by clicking, watched live in a second window."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from tests.browser.dashboard import Dashboard, tile

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]


async def test_an_order_is_placed_confirmed_shipped_and_seen_as_it_was(dashboard: Dashboard) -> None:
    mine, other = await dashboard.window(), await dashboard.window()
    await expect(mine.get_by_text("No orders yet.")).to_be_visible()
    await place(mine)

    await expect(mine.get_by_role("heading", name="Order of Chloé Ōe")).to_be_visible()
    await expect(other.get_by_role("row", name=re.compile(r"Chloé Ōe.*Pending.*73\.00"))).to_be_visible()
    await expect(tile(other, "Orders today")).to_have_text("1")
    await expect(tile(other, "Placed today")).to_have_text("73.00")
    await expect(other.locator(".readout")).to_contain_text("1 placed, 73.00 · 0 shipped, 0.00")
    await other.get_by_role("link", name="Chloé Ōe").click()
    await expect(other.locator(".order-status")).to_contain_text("Pending")

    await mine.get_by_role("button", name="Confirm").click()
    await expect(mine.locator(".order-status")).to_contain_text("Version 2")
    await expect(other.locator(".order-status")).to_contain_text("Confirmed")
    await mine.get_by_role("button", name="Ship").click()
    await mine.get_by_label("Carrier").fill("Yamato")
    await mine.get_by_role("dialog").get_by_role("button", name="Ship the order").click()
    for page in (mine, other):
        await expect(page.locator(".order-status")).to_contain_text("Version 3")
        await expect(page.locator(".timeline")).to_contain_text("Yamato")
        await expect(page.get_by_role("button", name="Cancel order")).to_have_count(0)

    await go_back_in_time(mine)
    await mine.get_by_role("link", name="Overview").first.click()
    await expect(tile(mine, "Revenue today")).to_have_text("73.00")
    await expect(tile(mine, "Revenue in all")).to_have_text("73.00")
    assert len([url for url in dashboard.requests if url == f"{dashboard.query.url}/"]) == 2, "a page was loaded again"


async def place(page: Page) -> None:
    await page.get_by_role("button", name="Place order").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Customer’s name").fill("Chloé Ōe")
    await dialog.get_by_role("button", name="Add a line").click()
    for number, (product, quantity, price) in enumerate([("Sencha", "2", "12.5"), ("Teapot", "1", "48.00")]):
        line = dialog.locator(".order-line").nth(number)
        await line.get_by_label("Product").fill(product)
        await line.get_by_label("Quantity").fill(quantity)
        await line.get_by_label("Unit price").fill(price)
    await expect(dialog.locator(".total")).to_have_text("73.00")
    await dialog.get_by_role("button", name="Place order").click()


async def go_back_in_time(page: Page) -> None:
    slider = page.get_by_label("As it was at version")
    await slider.focus()
    await page.keyboard.press("Home")
    await expect(page.locator(".order-status")).to_have_text(re.compile("Pending.*Version 1"))
    await expect(page.locator(".banner")).to_contain_text("As it was at version 1 of 3: pending")
    await expect(page.locator("tfoot")).to_contain_text("73.00")
    await expect(page.locator(".facts").last).not_to_contain_text("Yamato")
    await expect(slider).to_have_attribute("aria-valuetext", re.compile("Version 1 of 3: Order placed"))
    await page.get_by_role("button", name="Back to now").click()
    await expect(page.locator(".order-status")).to_have_text(re.compile("Shipped.*Version 3"))


async def test_a_command_is_followed_by_its_result_and_nothing_older(dashboard: Dashboard) -> None:
    order_id = await dashboard.place()
    page = await dashboard.window(f"/?order={order_id}")
    await page.evaluate("""() => {
        globalThis.told = [];
        const place = document.querySelector(".order-status");
        new MutationObserver(() => told.push(place.textContent)).observe(place, { childList: true, subtree: true });
    }""")
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.locator(".order-status")).to_contain_text("Confirmed")
    await page.get_by_role("button", name="Cancel order").click()
    await page.get_by_label("Reason").fill("Ordered twice")
    await page.get_by_role("dialog").get_by_role("button", name="Cancel the order").click()
    await expect(page.locator(".order-status")).to_contain_text("Cancelled")
    versions = [int(text[-1]) for text in await page.evaluate("told")]
    assert versions == sorted(versions), "something older was shown in between"
    assert versions[-1] == 3


async def test_the_address_leads_to_what_it_shows_and_back(dashboard: Dashboard) -> None:
    for customer in ("Aiko", "Ben"):
        await dashboard.place(customer)
    page = await dashboard.window("/?q=Ai")
    await expect(page.locator("tbody th a")).to_have_text(["Aiko"])
    await page.get_by_role("link", name="Aiko").click()
    await expect(page.get_by_role("heading", name="Order of Aiko")).to_be_focused()
    await page.go_back()
    await expect(page.get_by_label("Search by customer’s name")).to_have_value("Ai")
    await expect(page.locator("section.orders tbody th a")).to_have_text(["Aiko"])
    await page.get_by_label("Search by customer’s name").fill("")
    await expect(page.locator("section.orders tbody th a")).to_have_count(2)
    await page.locator("label", has_text="Shipped").filter(has=page.get_by_role("checkbox")).click()
    await expect(page.get_by_text("No order matches.")).to_be_visible()
    assert page.url.endswith("?status=shipped")
    await page.get_by_role("link", name="Show all orders").click()
    await expect(page.locator("section.orders tbody th a")).to_have_count(2)


async def test_an_order_leads_to_the_others_of_its_customer(dashboard: Dashboard) -> None:
    order_id = await dashboard.place("Aiko & Co")
    for customer in ("Aiko & Co.", "Aiko & Co"):
        await dashboard.place(customer)
    page = await dashboard.window(f"/?order={order_id.upper()}")
    await page.locator(".facts").get_by_role("link", name="Aiko & Co").click()
    await expect(page.locator("section.orders tbody th a")).to_have_text(["Aiko & Co"] * 2)
    await expect(page.get_by_label("Exact name")).to_have_value("Aiko & Co")


async def test_pages_of_orders_lead_on_and_back(dashboard: Dashboard) -> None:
    for number in range(23):
        await dashboard.place(f"Customer {number}")
    page = await dashboard.window()
    names = page.locator("section.orders tbody th a")
    await expect(names.first).to_have_text("Customer 22")
    await page.get_by_role("button", name="Next").click()
    await expect(names).to_have_text(["Customer 2", "Customer 1", "Customer 0"])
    await dashboard.place("Somebody new")
    await expect(tile(page, "Orders today")).to_have_text("24")
    await expect(names).to_have_text(["Customer 2", "Customer 1", "Customer 0"])
    await page.get_by_role("button", name="Previous").click()
    await expect(names.first).to_have_text("Somebody new")


async def test_a_search_says_that_capitals_count_and_offers_them(dashboard: Dashboard) -> None:
    await dashboard.place("Zoë Ōe")
    page = await dashboard.window()
    search = page.get_by_label("Search by customer’s name")
    await expect(search).to_have_accessible_description("Capitals and small letters are told apart")
    await search.fill("zoë ō")
    await page.get_by_role("link", name="Search for “Zoë Ō”").click()
    await expect(page.locator("section.orders tbody th a")).to_have_text(["Zoë Ōe"])
    await expect(search).to_have_value("Zoë Ō")


async def test_a_page_that_stays_open_shows_the_days_up_to_today(dashboard: Dashboard) -> None:
    """The page's clock is a day behind the service's, then passes midnight."""
    page = await (await dashboard.context(timezone_id="UTC")).new_page()
    now = datetime.now(UTC)
    await page.clock.install(time=now.replace(hour=0, minute=0, second=0) - timedelta(minutes=10))
    await page.goto(dashboard.query.url)
    await page.get_by_text("7 days").click()
    await page.clock.run_for(2_000)
    plot = page.get_by_role("img", name="Orders placed and shipped by day")
    await expect(plot).to_have_accessible_name(re.compile("8 days to"))
    await page.clock.fast_forward(11 * 60_000)
    await page.clock.run_for(2_000)
    await expect(plot).to_have_accessible_name(re.compile("7 days to"))
