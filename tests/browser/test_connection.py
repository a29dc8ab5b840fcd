"""The connection goes and comes back: what is shown is right again, and nothing was loaded anew."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from playwright.async_api import Page, Route, expect
from sqlalchemy import text

from command_service.postgres_store import PostgresEventStore
from tests.browser.dashboard import Dashboard, live, tile
from tests.support.databases import connected
from tests.support.orders import commit, placed
from tests.support.proxy import proxied

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

LISTEN = """async () => {
    const { ledger } = await import(document.querySelector("link[rel=modulepreload][href*='/ledger.']").href);
    globalThis.heard = new Promise((resolve) => { ledger.addEventListener("event", () => resolve(), { once: true }); });
}"""
"""While the page's clock stands still: an event has come."""


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


async def test_after_a_long_absence_the_feed_begins_again(dashboard: Dashboard, database: str) -> None:
    await dashboard.place("Before")
    page = await dashboard.window()
    await dashboard.query.kill()
    await page.wait_for_selector("#connection[data-state=reconnecting]")
    await page.evaluate("globalThis.stayed = true")
    async with connected(database) as engine:
        store = PostgresEventStore(engine)
        await store.append([commit(uuid4(), 0, placed(f"Customer {number}")) for number in range(1100)])
    followed_from: list[str | None] = []
    page.on("request", lambda asked: followed_from.append(asked.headers.get("last-event-id")))
    await dashboard.query.start()
    await expect(page.locator(".feed li").first).to_contain_text("Customer 1099")
    await expect(page.locator(".feed li")).to_have_count(30)
    assert [position for position in followed_from if position] == [str(1101 - 30)]
    assert await page.evaluate("stayed")


async def test_an_event_that_overtakes_an_answer_is_no_other_ledger(dashboard: Dashboard) -> None:
    """The page would be loaded again, and with it goes what is being written."""
    page = await dashboard.window()
    await page.evaluate("globalThis.stayed = true")
    asked, answered = 0, asyncio.Semaphore(0)

    async def overtaken(route: Route) -> None:
        nonlocal asked
        asked += 1
        answer = await route.fetch()
        await dashboard.place(f"Faster {asked}")
        await expect(page.locator(".feed")).to_contain_text(f"Faster {asked}")
        await route.fulfill(response=answer)
        answered.release()

    await page.route("**/events?after=*", overtaken)
    for number in range(1, 4):
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await answered.acquire()
        await expect(tile(page, "Orders today")).to_have_text(str(number))
    assert (asked, await page.evaluate("stayed")) == (3, True)


async def test_an_answer_that_is_cut_is_asked_for_again(dashboard: Dashboard) -> None:
    page = await dashboard.window()
    cut = 0

    async def cut_once(route: Route) -> None:
        nonlocal cut
        cut += 1
        if cut > 1:
            await route.continue_()
        else:
            await route.fulfill(status=200, content_type="application/json", body='{"total_count": ')

    await page.route("**/statistics", cut_once)
    await dashboard.place()
    await expect(tile(page, "Orders today")).to_have_text("1")
    assert cut > 1


async def test_a_page_of_the_release_before_is_loaded_anew_once(dashboard: Dashboard) -> None:
    page = await dashboard.window()
    await page.evaluate("""() => {
        const noted = () => document.body.innerText.includes("cannot be loaded") && sessionStorage.setItem("noted", "yes");
        new MutationObserver(noted).observe(document, { childList: true, subtree: true });
    }""")
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if one.is_navigation_request() else None)
    await page.route("**/projections.js", lambda route: route.fulfill(status=404))
    await page.get_by_role("link", name="Projections").click()
    await expect(page.get_by_text("This part of the page cannot be loaded right now.")).to_be_visible()
    noted_before = await page.evaluate("sessionStorage.getItem('noted')")
    assert (len(asked), noted_before) == (1, None), "the page is loaded anew once, and says nothing before that"
    await page.unroute("**/projections.js")
    await page.reload()
    await expect(page.get_by_role("heading", name="Projections", level=1)).to_be_visible()


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


async def test_a_connection_that_is_dead_without_a_word_is_noticed(dashboard: Dashboard) -> None:
    async with proxied(dashboard.query.url) as proxy:
        page = await (await dashboard.context()).new_page()
        await page.clock.install()
        await page.goto(proxy.url)
        await live(page)
        proxy.hold_answers()
        await dashboard.place("Unheard")
        await page.clock.run_for(21_000)
        await page.wait_for_selector("#connection[data-state=reconnecting]")
        proxy.cut()
        proxy.heal()
        await page.clock.run_for(5_000)
        await live(page)
        await expect(page.locator(".feed")).to_contain_text("Unheard")
        await page.clock.run_for(1_000)
        await expect(tile(page, "Orders today")).to_have_text("1")
        dashboard.requests[:] = [url for url in dashboard.requests if not url.startswith(proxy.url)]


async def test_a_stream_that_is_never_answered_is_asked_for_again(dashboard: Dashboard) -> None:
    """A browser whose connections are all in use, or a proxy, keeps the request to itself."""
    page = await (await dashboard.context()).new_page()
    await page.clock.install()
    swallowed: list[Route] = []

    async def swallow_two(route: Route) -> None:
        if len(swallowed) == 2:
            await route.continue_()
        else:
            swallowed.append(route)

    await page.route("**/events/stream", swallow_two)
    async with page.expect_request("**/events/stream"):
        await page.goto(dashboard.query.url)
    await expect(page.locator("#connection")).to_have_attribute("data-state", "connecting")
    await dashboard.place("Unheard")
    await page.clock.run_for(21_000)
    await page.wait_for_selector("#connection[data-state=reconnecting]")
    async with page.expect_request("**/events/stream"):
        await page.clock.run_for(1_000)
    await page.clock.run_for(21_000)
    await live(page)
    await expect(page.locator(".feed")).to_contain_text("Unheard")


async def test_a_tab_that_nobody_sees_gives_its_connection_back(dashboard: Dashboard) -> None:
    page = await (await dashboard.context()).new_page()
    await page.clock.install()
    await page.add_init_script("""
        globalThis.look = (isHidden) => {
            Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        };
    """)
    ended: list[str] = []
    page.on("requestfailed", lambda request: ended.append(request.url))
    await page.goto(dashboard.query.url)
    await live(page)
    await page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=10))
    await page.evaluate("look(true)")
    await page.clock.run_for(10_000)
    await page.evaluate(LISTEN)
    await dashboard.place("Unseen")
    await page.evaluate("heard")
    await page.clock.run_for(19_000)
    await expect(page.locator(".feed")).to_contain_text("Unseen", use_inner_text=False)
    assert ended == []
    async with page.expect_event("requestfailed"):
        await page.clock.run_for(2_000)
    assert ended == [f"{dashboard.query.url}/events/stream"]
    await dashboard.place("Meanwhile")
    await page.clock.resume()
    await page.evaluate("look(false)")
    await expect(page.locator(".feed")).to_have_count(1)
    await expect(page.locator(".feed")).to_contain_text("Meanwhile")
    await expect(tile(page, "Orders today")).to_have_text("2")


async def test_a_read_model_that_is_behind_is_told_and_followed(dashboard: Dashboard, database: str) -> None:
    order_id = await dashboard.place()
    page = await dashboard.window(f"/?order={order_id}")
    await expect(page.locator(".order-status")).to_contain_text("Pending")
    async with connected(database, 1, autocommit=False) as engine, engine.begin() as connection:
        await connection.execute(text("SELECT FROM read_model.checkpoints FOR UPDATE"))
        await page.get_by_role("button", name="Confirm").click()
        await expect(page.locator(".notice")).to_contain_text("The read model shows version 1; the log has 2.")
    await expect(page.locator(".order-status")).to_contain_text("Version 2")
    await expect(page.locator(".notice")).to_be_hidden()


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
