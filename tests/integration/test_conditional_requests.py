"""Answers from memory are right, not just fresh-ish; ETags and 304 (I9, I10)."""

import asyncio
import random
from uuid import UUID, uuid4

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from shared.orders.events import OrderConfirmed
from tests.support.apps import query_service
from tests.support.http import get
from tests.support.orders import START, append_orders, commit, placed
from tests.support.waiting import wait_until


async def an_order(store: PostgresEventStore) -> UUID:
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed())])
    return order_id


async def test_a_second_answer_does_no_io(
    engine: AsyncEngine, store: PostgresEventStore, http: httpx.AsyncClient
) -> None:
    """While it starts to LISTEN to other replicas, it forgets what it knew, once: so more than one try."""
    order_id = await an_order(store)
    paths = [f"/orders/{order_id}", "/orders?limit=5", "/statistics"]
    first: list[httpx.Response] = []
    again: list[httpx.Response] = []

    async def is_answered_from_memory() -> bool:
        first[:] = [await http.get(path, headers={"Event-Position": "1", "Prefer": "wait=30"}) for path in paths]
        async with engine.connect() as connection:
            await connection.execute(text("ALTER SCHEMA read_model RENAME TO away"))
            try:
                again[:] = [await http.get(path, headers={"Event-Position": "1"}) for path in paths]
            finally:
                await connection.execute(text("ALTER SCHEMA away RENAME TO read_model"))
        return all(answer.is_success for answer in again)

    await wait_until(is_answered_from_memory, "answers come without the database")
    for one, other in zip(first, again, strict=True):
        assert (one.status_code, one.content) == (other.status_code, other.content)
        for name in ("etag", "event-position", "content-type", "content-length"):
            assert one.headers[name] == other.headers[name]
        assert one.headers["X-Correlation-ID"] != other.headers["X-Correlation-ID"]


async def test_who_has_it_already_is_told_so(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    order_id = await an_order(store)
    for path in (f"/orders/{order_id}", "/orders", "/statistics"):
        full = await get(http, path, 1)
        tag = full.headers["ETag"]
        for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            answer = await http.get(path, headers={"If-None-Match": given})
            assert (answer.status_code, answer.content) == (304, b"")
            assert (answer.headers["ETag"], answer.headers["Event-Position"]) == (tag, "1")
        for given in ('"other"', tag.strip('"')):
            assert (await http.get(path, headers={"If-None-Match": given})).status_code == 200
    assert (await get(http, f"/orders/{order_id}", 1)).headers["ETag"] == '"1"'


async def test_an_event_makes_what_it_affects_invalid_and_nothing_else(
    engine: AsyncEngine, store: PostgresEventStore, http: httpx.AsyncClient
) -> None:
    """More than one try, as above."""
    kept: list[httpx.Response] = []

    async def is_kept() -> bool:
        one, other = await an_order(store), await an_order(store)
        for path in (f"/orders/{one}", f"/orders/{other}", "/statistics"):
            await get(http, path, await store.head())
        await store.append([commit(one, 1, OrderConfirmed())])
        head = await store.head()
        assert (await get(http, "/statistics", head)).json()["by_status"][1]["count"] == head // 3
        async with engine.connect() as connection:
            await connection.execute(text("UPDATE read_model.order_summaries SET customer_name = 'from the table'"))
        assert (await get(http, f"/orders/{one}", head)).json()["customer_name"] == "from the table"
        kept[:] = [await get(http, f"/orders/{other}", head)]
        assert kept[0].headers["Event-Position"] == str(head)
        return bool(kept[0].json()["customer_name"] != "from the table")

    await wait_until(is_kept, "the other order's answer is kept")


async def test_an_answer_is_never_stale_however_it_is_asked_for(database: str, store: PostgresEventStore) -> None:
    """I9: many readers with and without conditions, while commands go on; each holds position and content together."""
    async with query_service(database, answer_cache_bytes=20_000) as http:
        orders = [await an_order(store) for _ in range(5)]
        versions = dict.fromkeys(orders, 1)
        positions: dict[UUID, list[int]] = {order_id: [number] for number, order_id in enumerate(orders, 1)}
        done = asyncio.Event()

        async def write() -> None:
            for number in range(150):
                order_id = orders[number % 5]
                (outcome,) = await store.append([commit(order_id, versions[order_id], OrderConfirmed())])
                positions[order_id].append(outcome.last_position)  # type: ignore[union-attr]
                versions[order_id] += 1
            done.set()

        async def read(seed: int) -> None:
            randomness, tags = random.Random(seed), dict[UUID, str]()
            while not done.is_set():
                # What is answered from memory, in this process, lets nobody else run.
                await asyncio.sleep(0)
                order_id = randomness.choice(orders)
                known, version = positions[order_id][-1], versions[order_id]
                headers = {"Event-Position": str(known), "Prefer": "wait=30"}
                if randomness.random() < 0.5:
                    headers["If-None-Match"] = tags.get(order_id, '"0"')
                answer = await http.get(f"/orders/{order_id}", headers=headers)
                shown = int(answer.headers["ETag"].strip('"'))
                at = int(answer.headers["Event-Position"])
                assert shown >= version
                assert at >= known
                expected = sum(position <= at for position in positions[order_id])
                assert shown >= expected, f"at position {at} the order is at version {expected}, not {shown}"
                if answer.status_code == 304:
                    assert tags[order_id] == answer.headers["ETag"]
                else:
                    assert answer.json()["version"] == shown
                tags[order_id] = answer.headers["ETag"]

        await asyncio.gather(write(), *(read(seed) for seed in range(6)))


async def test_errors_and_requests_for_a_later_position_are_not_answered_from_memory(
    store: PostgresEventStore, http: httpx.AsyncClient
) -> None:
    order_id = uuid4()
    assert (await http.get(f"/orders/{order_id}")).status_code == 404
    await store.append([commit(order_id, 0, placed())])
    assert (await get(http, f"/orders/{order_id}", 1)).status_code == 200
    late = await http.get(f"/orders/{order_id}", headers={"Event-Position": "2", "Prefer": "wait=0"})
    assert late.status_code == 503
    for bad in ("-1", "x", "9" * 40):
        assert (await http.get(f"/orders/{order_id}", headers={"Event-Position": bad})).status_code == 422
    assert (await http.get(f"/orders/{order_id}?min_position=1")).headers["Event-Position"] == "1"


async def test_what_is_kept_is_bounded_in_bytes(database: str, store: PostgresEventStore) -> None:
    await append_orders(store, 60)
    async with query_service(database, answer_cache_bytes=30_000) as http:
        orders = (await get(http, "/orders", await store.head(), limit=200)).json()["items"]
        for order in orders * 2:
            assert (await http.get(f"/orders/{order['order_id']}")).json()["version"] == order["version"]


def cancelled(data: str) -> NewEvent:
    return NewEvent(EventId(uuid4()), "OrderCancelled", 1, data, '{"correlation_id": "x"}', START)


async def test_a_tag_never_stands_for_two_contents(
    engine: AsyncEngine, store: PostgresEventStore, http: httpx.AsyncClient
) -> None:
    """The order's version is its tag also where one of its projections has not got that far."""
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed())])
    await get(http, f"/orders/{order_id}", 1)
    async with engine.connect() as connection:
        # What only order_details refuses.
        await connection.execute(
            text("ALTER TABLE read_model.order_details ADD CONSTRAINT x CHECK (cancellation_reason <> 'bad')")
        )
    await store.append([Commit(StreamId("order", order_id), Version(1), (cancelled('{"reason": "bad"}'),))])

    async def is_parked() -> bool:
        return len((await http.get("/projections/order_details/parked")).json()) == 1

    await wait_until(is_parked, "the event is parked")
    half = await http.get(f"/orders/{order_id}")
    async with engine.connect() as connection:
        await connection.execute(text("ALTER TABLE read_model.order_details DROP CONSTRAINT x"))
    assert (await http.post("/projections/order_details/parked/retry")).json()["applied"] == 1
    whole = await http.get(f"/orders/{order_id}")
    assert (half.json()["cancellation_reason"], whole.json()["cancellation_reason"]) == (None, "bad")
    again = await http.get(
        f"/orders/{order_id}", headers={"If-None-Match": half.headers.get("ETag", '""'), "Event-Position": "2"}
    )
    assert again.status_code == 200, (
        f"304, Event-Position {again.headers['Event-Position']}: the client keeps {half.json()}"
    )


async def test_a_tag_that_was_given_is_heeded(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    """RFC 9110, 13.1.2."""
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed())])
    path = f"/orders/{order_id}?version=1"
    tag = (await http.get(path)).headers["ETag"]
    assert (await http.get(path, headers={"If-None-Match": tag})).status_code == 304


async def test_a_swap_forgets_answers_though_no_event_tells(
    engine: AsyncEngine, store: PostgresEventStore, http: httpx.AsyncClient
) -> None:
    """The rows were wrong, as when a projection's code was; the answer of them, kept in memory, goes with them."""
    order_id = await an_order(store)
    await get(http, "/orders", 1)
    async with engine.connect() as connection:
        await connection.execute(text("UPDATE read_model.order_details SET shipping_address = NULL"))
    paths = [f"/orders/{order_id}", f"/orders/{order_id}?"]
    for path in paths:
        assert (await http.get(path)).json()["shipping_address"] is None
    assert (await http.post("/projections/order_details/rebuild")).status_code == 202

    async def is_swapped() -> bool:
        return bool((await http.get(paths[0])).json()["shipping_address"])

    await wait_until(is_swapped, "the rebuilt rows are shown")
    assert (await http.get(paths[1])).json()["shipping_address"]
