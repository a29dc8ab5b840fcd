"""The projections, looked after from the page: a rebuild, and what is parked."""

from uuid import uuid4

import pytest
from playwright.async_api import expect
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from tests.browser.dashboard import Dashboard, tile
from tests.support.orders import START, append_orders, commit, placed

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


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
