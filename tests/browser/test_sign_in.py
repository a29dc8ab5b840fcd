"""With identity on, the page asks for an access token, sends it to both services, and says what is wrong with it."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.dashboard import Dashboard, dashboard_on, live, tile
from tests.browser.test_accessibility import assert_sound
from tests.support.tokens import SigningKey, bearer, trusting

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

KEY = SigningKey("one")


@pytest_asyncio.fixture(loop_scope="session")
async def guarded(database: str, chromium: Browser, tmp_path: Path) -> AsyncIterator[Dashboard]:
    both = {f"DAICHO_{name.upper()}": str(value) for name, value in trusting(tmp_path, KEY).items()}
    async with dashboard_on(database, chromium, both) as running:
        running.headers = bearer(KEY.token())
        yield running


async def signed_out(dashboard: Dashboard, path: str = "/") -> Page:
    page = await (await dashboard.context()).new_page()
    await page.goto(f"{dashboard.query.url}{path}")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    return page


async def sign_in(page: Page, token: str) -> None:
    await page.get_by_label("Access token").fill(token)
    await page.get_by_label("Access token").press("Enter")


async def test_a_token_shows_the_ledger_and_sends_commands(guarded: Dashboard) -> None:
    order_id = await guarded.place("Aiko")
    page = await signed_out(guarded)
    await expect(page.get_by_role("button", name="Place order")).to_be_hidden()
    await expect(page.locator("#connection")).to_have_text("Signed out")
    await sign_in(page, f" Bearer {KEY.token()} ")
    await live(page)
    await expect(page.get_by_role("heading", name="Overview")).to_be_focused()
    await expect(tile(page, "Orders today")).to_have_text("1")
    await guarded.place("Ben")
    await expect(page.locator(".feed li").first).to_contain_text("Ben")
    await page.goto(f"{guarded.query.url}/?order={order_id}")
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.locator(".order-status")).to_contain_text("Confirmed")


async def test_the_token_is_of_one_tab_and_gone_after_signing_out(guarded: Dashboard) -> None:
    await guarded.place("Aiko")
    page = await signed_out(guarded)
    await sign_in(page, KEY.token())
    await live(page)
    await page.reload()
    await expect(tile(page, "Orders today")).to_have_text("1")
    other = await page.context.new_page()
    await other.goto(guarded.query.url)
    await expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert "Aiko" not in await page.content()
    stored = "[sessionStorage.token, Object.keys(localStorage), document.cookie].join()"
    assert await page.evaluate(stored) == ",,"


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("", "Enter an access token."),
        ("a b", "This is no access token"),
        (KEY.token(exp=int(time.time()) - 60), "it has expired"),
        (SigningKey("two").token(), "it is signed with an unknown key"),
    ],
    ids=["none", "blank within", "expired", "of another"],
)
async def test_what_is_wrong_with_a_token_stands_beside_it(guarded: Dashboard, token: str, why: str) -> None:
    page = await signed_out(guarded)
    await sign_in(page, token)
    field = page.get_by_label("Access token")
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_be_focused()
    await expect(page.locator(".sign-in .error").first).to_contain_text(why)
    assert await page.evaluate("sessionStorage.length") == 0


async def test_a_token_that_has_expired_is_asked_for_again_and_nothing_is_lost(guarded: Dashboard) -> None:
    order_id = await guarded.place()
    page = await signed_out(guarded, f"/?order={order_id}")
    await sign_in(page, KEY.token())
    await live(page)
    await page.get_by_role("button", name="Cancel order").click()
    await page.get_by_label("Reason").fill("Out of stock")
    expired = KEY.token(exp=int(time.time()) - 60)
    await page.route("**/cancel", lambda route: route.continue_(headers={**route.request.headers, **bearer(expired)}))
    await page.get_by_role("button", name="Cancel the order").click()
    again = page.get_by_role("dialog", name="Sign in again")
    await expect(again).to_contain_text("it has expired")
    await expect(page.locator(".order-status")).to_contain_text("Pending")
    await page.unroute("**/cancel")
    await sign_in(page, KEY.token())
    await expect(again).to_have_count(0)
    await expect(page.get_by_label("Reason")).to_have_value("Out of stock")
    await page.get_by_role("button", name="Cancel the order").click()
    await expect(page.locator(".order-status")).to_contain_text("Cancelled")
    await live(page)


async def test_who_does_not_sign_in_again_can_do_so_later(guarded: Dashboard, tmp_path: Path) -> None:
    await guarded.place("Aiko")
    page = await signed_out(guarded)
    await sign_in(page, KEY.token())
    await live(page)
    new = SigningKey("two")
    trusting(tmp_path, new)
    again = page.get_by_role("dialog", name="Sign in again")
    await guarded.query.kill()
    await guarded.query.start()
    await expect(again).to_contain_text("it is signed with an unknown key")
    await again.get_by_role("button", name="Back").click()
    await expect(page.locator("#connection")).to_have_text("Signed out")
    await page.locator("header").get_by_role("button", name="Sign in").click()
    await sign_in(page, new.token())
    await live(page)
    await expect(tile(page, "Orders today")).to_have_text("1")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_what_a_token_does_not_allow_is_told_with_the_scope(guarded: Dashboard, theme: str) -> None:
    await guarded.place("Aiko")
    page = await (await guarded.context(color_scheme=theme, viewport={"width": 360, "height": 800})).new_page()
    await page.goto(guarded.query.url)
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await assert_sound(page, "signed out")
    await sign_in(page, KEY.token(scope="operations"))
    await expect(page.get_by_text("These figures cannot be shown.")).to_contain_text("the scope orders:read")
    await expect(page.get_by_role("alert")).to_contain_text("the scope orders:read")
    await expect(page.locator("#connection")).to_have_text("No events")
    await assert_sound(page, "without scopes")
    await page.get_by_role("link", name="Projections").click()
    await expect(page.get_by_role("heading", name="order_items")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await sign_in(page, KEY.token(scope="orders:read"))
    await page.locator(".projection", has_text="order_items").get_by_role("button", name="Rebuild").click()
    await page.get_by_role("dialog").get_by_role("button", name="Rebuild").click()
    await expect(page.get_by_role("dialog")).to_contain_text("This needs an access token with the scope operations.")
    await assert_sound(page, "refused")
