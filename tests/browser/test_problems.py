"""What goes wrong is told where it belongs, in words, and leaves things as they were."""

import re

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.dashboard import Dashboard, dashboard_on, tile

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]


async def fill(page: Page, price: str = "48.00") -> None:
    await page.get_by_role("button", name="Place order").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Customer’s name").fill("Ben")
    await dialog.get_by_label("Product").fill("Teapot")
    await dialog.get_by_label("Unit price").fill(price)


async def submit(page: Page) -> None:
    await page.get_by_role("dialog").get_by_role("button", name="Place order").click()


async def test_each_problem_stands_beside_its_field(dashboard: Dashboard) -> None:
    page = await dashboard.window()
    await fill(page, price="0")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Customer’s name").fill(" ")
    await dialog.get_by_text("Shipping address").click()
    await dialog.get_by_label("Recipient").fill("Ben")
    await dialog.get_by_label("Country").fill("xx")
    await submit(page)
    wrong = {
        "Customer’s name": "1 to 200 characters",
        "Unit price": "amount from",
        "Country": "ISO 3166",
        "City": "1 to 200",
    }
    for label, message in wrong.items():
        field = dialog.get_by_label(label)
        await expect(field).to_have_attribute("aria-invalid", "true")
        told = (await field.get_attribute("aria-describedby") or "").split()[0]
        await expect(page.locator(f"#{told}")).to_contain_text(message)
    await expect(dialog.get_by_label("Product")).not_to_have_attribute("aria-invalid", "true")
    await expect(dialog.get_by_label("Customer’s name")).to_be_focused()
    await expect(dialog.locator("form > .message")).to_be_empty()


async def test_a_problem_of_a_line_or_of_all_lines_is_told_too(dashboard: Dashboard) -> None:
    page = await dashboard.window()
    await fill(page, price="99999999.99")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Quantity").fill("2")
    await submit(page)
    await expect(dialog.locator(".order-line > .error")).to_contain_text("at most 99999999.99")
    await dialog.get_by_label("Quantity").fill("1")
    await dialog.get_by_role("button", name="Add a line").click()
    second = dialog.locator(".order-line").nth(1)
    await second.get_by_label("Product").fill("Cup")
    await second.get_by_label("Unit price").fill("1")
    await expect(dialog.locator(".total")).to_have_text("100,000,000.99")
    await submit(page)
    await expect(dialog.locator("form > .message")).to_contain_text("at most 99999999.99")


async def test_a_filter_that_is_not_valid_is_told_beside_it(dashboard: Dashboard) -> None:
    await dashboard.place()
    page = await dashboard.window("/?min_total=1e")
    field = page.get_by_label("Total at least")
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(page.locator("#f-min_total-error")).to_contain_text("must be a number")
    await field.fill("70")
    await expect(page.locator("section.orders tbody tr")).to_have_count(1)
    await expect(page.locator("#f-min_total-error")).to_be_empty()


async def test_who_is_too_late_sees_what_the_order_has_become(dashboard: Dashboard) -> None:
    order_id = await dashboard.place()
    page = await dashboard.window(f"/?order={order_id}")
    await page.get_by_role("button", name="Cancel order").click()
    await page.get_by_label("Reason").fill("Out of stock")
    await dashboard.post(f"/orders/{order_id}/confirm", {})
    await expect(page.locator(".order-status")).to_contain_text("Confirmed")
    await page.get_by_role("dialog").get_by_role("button", name="Cancel the order").click()
    await expect(page.locator(".deeds .message")).to_have_text(
        re.compile("nothing was done. It is confirmed now, at version 2")
    )
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.locator(".order-status")).to_contain_text("Confirmed")
    await page.get_by_role("button", name="Ship").click()
    await page.get_by_role("dialog").get_by_role("button", name="Ship the order").click()
    await expect(page.locator(".order-status")).to_contain_text("Shipped")
    await expect(page.locator(".deeds .message")).to_be_empty()


async def test_an_answer_that_was_lost_does_not_place_an_order_twice(dashboard: Dashboard) -> None:
    page = await dashboard.window()
    keys: list[str | None] = []

    async def lose_the_first(route: Route) -> None:
        if route.request.method == "POST":
            keys.append(route.request.headers.get("idempotency-key"))
            if len(keys) == 1:
                await route.fetch()
                await route.abort("connectionreset")
                return
        await route.continue_()

    await page.route(f"{dashboard.command.url}/**", lose_the_first)
    await fill(page)
    await submit(page)
    await expect(page.get_by_role("heading", name="Order of Ben")).to_be_visible()
    await page.get_by_role("link", name="Overview").first.click()
    await expect(tile(page, "Orders today")).to_have_text("1")
    assert len(keys) == 2
    assert keys[0] == keys[1] is not None


async def test_what_a_proxy_answers_in_its_stead_does_not_place_an_order_twice(dashboard: Dashboard) -> None:
    page = await dashboard.window()
    keys: list[str | None] = []
    statuses = [408, 500, 504]

    async def answer_instead(route: Route) -> None:
        if route.request.method != "POST":
            await route.continue_()
            return
        keys.append(route.request.headers.get("idempotency-key"))
        answer = await route.fetch()
        if statuses:
            await route.fulfill(response=answer, status=statuses.pop(), content_type="text/html", body="<h1>Away</h1>")
        else:
            await route.fulfill(response=answer)

    await page.route(f"{dashboard.command.url}/**", answer_instead)
    await fill(page)
    await submit(page)
    await expect(page.get_by_role("heading", name="Order of Ben")).to_be_visible()
    await page.get_by_role("link", name="Overview").first.click()
    await expect(tile(page, "Orders today")).to_have_text("1")
    assert len(keys) == 4
    assert len(set(keys)) == 1
    statuses[:] = [504] * 4
    await fill(page)
    await submit(page)
    message = page.get_by_role("dialog").locator("form > .message")
    await expect(message).to_have_text(re.compile("The answer was 504. Whether it was done is not known."))


async def test_a_command_service_that_is_away_is_told_and_trying_again_is_safe(dashboard: Dashboard) -> None:
    page = await dashboard.window()
    await fill(page)
    await dashboard.command.kill()
    await submit(page)
    message = page.get_by_role("dialog").locator("form > .message")
    await expect(message).to_contain_text("The service cannot be reached.")
    await expect(message).to_contain_text("it will not be done twice")
    await dashboard.command.start()
    await submit(page)
    await expect(page.get_by_role("heading", name="Order of Ben")).to_be_visible()


async def test_an_order_that_is_not_there_appears_when_it_is_placed(dashboard: Dashboard) -> None:
    order_id = "0199b7a4-7c00-7000-8000-000000000001"
    page = await dashboard.window(f"/?order={order_id}")
    await expect(page.get_by_text("There is no order with this id.")).to_be_visible()
    await dashboard.post(
        "/orders",
        {
            "order_id": order_id,
            "customer_name": "Zoë",
            "items": [{"product_name": "Cup", "quantity": 1, "unit_price": "9.00"}],
        },
    )
    await expect(page.get_by_role("heading", name="Order of Zoë")).to_be_visible()
    await expect(page.locator(".notice")).to_be_hidden()


async def test_what_cannot_be_read_is_told_and_read_again(dashboard: Dashboard) -> None:
    context = await dashboard.context()
    page = await context.new_page()
    await page.route("**/orders?*", lambda route: route.abort())
    await page.route("**/projections", lambda route: route.abort())
    await page.goto(f"{dashboard.query.url}/?status=pending")
    await expect(page.get_by_role("alert")).to_contain_text("The orders cannot be read right now.")
    await page.unroute("**/orders?*")
    await expect(page.get_by_text("No order matches.")).to_be_visible()
    await page.get_by_role("link", name="Projections").click()
    await expect(page.get_by_text("The projections cannot be read right now.")).to_be_visible()
    await page.unroute("**/projections")
    await expect(page.get_by_role("heading", name="order_summaries")).to_be_visible()


async def test_without_a_command_service_it_only_shows(database: str, chromium: Browser) -> None:
    async with dashboard_on(database, chromium, DAICHO_COMMAND_URL="") as dashboard:
        order_id = await dashboard.place()
        page = await dashboard.window()
        await expect(page.get_by_text("Read-only")).to_be_visible()
        await expect(page.get_by_role("button", name="Place order")).to_have_count(0)
        await page.goto(f"{dashboard.query.url}/?order={order_id}")
        await expect(page.locator(".order-status")).to_contain_text("Pending")
        await expect(page.get_by_role("button", name="Confirm")).to_have_count(0)


async def test_what_customers_write_is_text(dashboard: Dashboard) -> None:
    evil = '</script><img src="https://elsewhere.invalid/x.png" onerror="hacked=1"><script>hacked=1</script><!--'
    order_id = await dashboard.place(evil)
    page = await dashboard.window()
    await expect(page.locator("section.orders tbody th a")).to_have_text(evil)
    await expect(page.locator(".feed li")).to_contain_text(evil)
    await page.goto(f"{dashboard.query.url}/?order={order_id}")
    await expect(page.get_by_role("heading", name=f"Order of {evil}")).to_be_visible()
    assert await page.evaluate("typeof hacked") == "undefined"


async def test_what_is_asked_for_again_is_not_refused_as_done_by_another(dashboard: Dashboard) -> None:
    """While its outcome is not known, it is the same wish, with the same key."""
    order_id = await dashboard.place()
    page = await dashboard.window(f"/?order={order_id}")
    await page.get_by_role("button", name="Pause live updates").click()

    async def done_and_not_heard_of(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await page.route("**/confirm", done_and_not_heard_of)
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_role("alert").filter(has_text="Whether it was done is not known")).to_be_visible()
    await page.unroute("**/confirm")
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.locator(".order-status")).to_have_text(re.compile("Confirmed.*Version 2"))
    await expect(page.get_by_text("nothing was done")).to_have_count(0)


@pytest.mark.parametrize("width", [360, 1600])
async def test_the_longest_names_stay_within_the_page(dashboard: Dashboard, width: int) -> None:
    item = {"product_name": "X" * 200, "quantity": 1, "unit_price": "1.00"}
    order = {"customer_name": "W" * 200, "items": [item]}
    order_id = (await dashboard.post("/orders", order))["order_id"]
    page = await dashboard.window(f"/?order={order_id}", viewport={"width": width, "height": 900})
    for path in (f"/?order={order_id}", "/"):
        await page.goto(f"{dashboard.query.url}{path}")
        await expect(page.get_by_text("W" * 200).first).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
