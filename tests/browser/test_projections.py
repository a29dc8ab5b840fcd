"""The projections, looked after from the page: a rebuild, and what is parked."""

import re
from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import Page, Route, expect
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from tests.browser.dashboard import Dashboard, tile
from tests.support.orders import START, append_orders, commit, placed

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]


async def test_a_projection_is_rebuilt_from_the_page(dashboard: Dashboard, engine: AsyncEngine) -> None:
    await append_orders(PostgresEventStore(engine), 3000)
    await dashboard.place("Right")
    page = await dashboard.window()
    await expect(page.locator("section.orders tbody th a").first).to_have_text("Right")
    async with engine.connect() as connection:
        await connection.execute(text("UPDATE read_model.order_summaries SET customer_name = 'Wrong'"))
    await page.get_by_role("link", name="Projections").click()
    card = page.locator(".projection", has_text="order_summaries")
    await expect(card).to_contain_text("Live")
    await card.get_by_role("button", name="Rebuild").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Queries and commands go on meanwhile.")
    await dialog.get_by_role("button", name="Rebuild").click()
    await expect(card.get_by_role("progressbar")).to_be_visible()
    await expect(card.get_by_role("button", name="Rebuild")).to_be_disabled()
    await expect(card.get_by_role("progressbar")).to_be_hidden(timeout=60_000)
    await expect(page.locator("#announcements")).to_have_text("order_summaries is rebuilt.")
    await expect(card).to_contain_text("Live")
    await expect(card.locator(".rebuild")).to_contain_text(
        re.compile(r"Rebuilt on .*, in \d+\.\d s, from [\d,]+ events\. [\d,]+ rows had been different\.")
    )
    await page.get_by_role("link", name="Overview").click()
    await expect(page.locator("section.orders tbody th a").first).to_have_text("Right")
    await page.get_by_label("Search by customer’s name").fill("Wrong")
    await expect(page.get_by_text("No order matches.")).to_be_visible()


async def test_what_is_parked_is_listed_and_can_be_tried_again(dashboard: Dashboard, engine: AsyncEngine) -> None:
    page = await dashboard.window("/?view=projections")
    card = page.locator(".projection", has_text="order_summaries")
    await expect(card).to_contain_text("Live")
    await expect(card.get_by_text("Parked events")).to_be_hidden()
    store, order_id = PostgresEventStore(engine), uuid4()
    bad = NewEvent(EventId(uuid4()), "OrderCancelled", 1, '{"reason": 7}', "{}", START)
    await store.append([commit(order_id, 0, placed("Sick"))])
    await store.append([Commit(StreamId("order", order_id), Version(1), (bad,))])
    await expect(card.locator(".facts")).to_contain_text("1 event", timeout=60_000)
    await card.get_by_text("Parked events").click()
    await expect(card.locator(".parked li")).to_contain_text("OrderCancelled")
    await card.get_by_role("button", name="Apply them again").click()
    await expect(card.locator(".parked .message")).to_have_text("0 events applied, 1 still parked.")
    await card.locator(".parked li a").click()
    await expect(page.locator(".notice")).to_contain_text("The read model shows version 1; the log has 2.")
    await page.get_by_role("link", name="Overview").first.click()
    await expect(tile(page, "Revenue in all")).to_have_text("0.00")


async def answering(page: Page, **changes: Any) -> dict[str, Any]:
    """Change what the page is told of `order_summaries`; the changes are the dictionary's, which may be changed."""

    async def changed(route: Route) -> None:
        answer = await route.fetch()
        statuses = await answer.json()
        told = [{**one, **(changes if one["name"] == "order_summaries" else {})} for one in statuses]
        await route.fulfill(response=answer, json=told, headers={"Event-Position": "0"})

    await page.route("**/projections", changed)
    return changes


async def test_a_rebuild_that_fails_or_is_given_up_is_not_called_done(dashboard: Dashboard) -> None:
    page = await (await dashboard.context()).new_page()
    rebuild = {
        "state": "loading",
        "events_done": 1,
        "events_total": 9,
        "rate": 1.0,
        "eta_seconds": 8.0,
        "failure": None,
    }
    changes = await answering(page, rebuild=rebuild)
    await page.goto(f"{dashboard.query.url}/?view=projections")
    told = page.locator(".projection", has_text="order_summaries").locator(".rebuild")
    await expect(told).to_contain_text("Loading: 1 of 9 events, 8 s left")
    changes["rebuild"] = {**rebuild, "failure": "DiskFull; the log has the details"}
    await expect(told).to_contain_text("It failed, and is tried again. DiskFull")
    changes["rebuild"] = None
    await expect(told.locator("> p")).to_have_text("The last rebuild was given up: what served before serves still.")
    await expect(page.locator("#announcements")).to_have_text("The rebuild of order_summaries was given up.")


async def test_what_always_has_an_event_on_its_way_is_live(dashboard: Dashboard) -> None:
    """The words change when an event has waited for long, and when none has any more; the number is told as it is."""
    page = await (await dashboard.context()).new_page()
    changes = await answering(page, state="catching-up", lag_events=3, lag_seconds=0.2)
    await page.goto(f"{dashboard.query.url}/?view=projections")
    card = page.locator(".projection", has_text="order_summaries")
    for seconds, word in ((0.2, "Live"), (1.9, "Live"), (2.1, "Catching up"), (0.7, "Catching up"), (0.4, "Live")):
        changes["lag_seconds"] = seconds
        await expect(card.locator(".facts")).to_contain_text(f"3 events, {seconds} s")
        await expect(card.locator(".head .chip")).to_have_text(word)
    changes |= {"state": "stalled", "lag_seconds": 0.1}
    await expect(card.locator(".head .chip")).to_have_text("Stalled")


async def test_all_that_is_parked_can_be_listed(dashboard: Dashboard, engine: AsyncEngine) -> None:
    row = "'order_summaries', n, 'order', gen_random_uuid(), 1, 'OrderPlaced', gen_random_uuid(), 'sick'"
    columns = "projection, position, aggregate_type, aggregate_id, version, event_type, event_id, error"
    async with engine.connect() as connection:
        await connection.execute(
            text(f"INSERT INTO read_model.parked_events ({columns}) SELECT {row} FROM generate_series(1, 205) n")
        )
    page = await dashboard.window("/?view=projections")
    parked = page.locator(".projection", has_text="order_summaries").locator(".parked")
    await parked.get_by_text("Parked events").click()
    for shown in (100, 200, 205):
        await expect(parked.locator("li")).to_have_count(shown)
        if shown < 205:
            await parked.get_by_role("button", name="Show more").click()
    await expect(parked.get_by_role("button", name="Show more")).to_be_hidden()
