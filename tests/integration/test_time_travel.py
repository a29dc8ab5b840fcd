"""An order as it was: by version, and by time."""

import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from command_service.postgres_store import PostgresEventStore
from shared.orders.events import OrderCancelled, OrderConfirmed
from tests.support.apps import ORDER, command_service
from tests.support.http import assert_problem, get
from tests.support.orders import START, commit, lifecycle, placed


async def test_as_of_each_events_time_is_the_state_after_it(database: str, http: httpx.AsyncClient) -> None:
    """Through real commands, given at once: their times are those that the service wrote."""
    async with command_service(database) as commands:
        answer = await commands.post("/orders", json=ORDER)
        path = answer.headers["Location"]
        states = [(await get(http, path, answer.json()["position"])).json()]
        for command, body in (("confirm", {}), ("ship", {"carrier": "Yamato"})):
            answer = await commands.post(f"{path}/{command}", json=body)
            states.append((await get(http, path, answer.json()["position"])).json())
    history = (await http.get(f"{path}/history")).json()["items"]
    assert [event["version"] for event in history] == [1, 2, 3]
    for event, state in zip(history, states, strict=True):
        then = await http.get(path, params={"as_of": event["occurred_at"]})
        assert then.json() == state
        assert (then.headers["ETag"], then.headers["Event-Position"]) == (f'"{event["version"]}"', "3")
        assert (await http.get(path, params={"version": event["version"]})).json() == state
    assert (await http.get(path, params={"as_of": "9000-01-01T00:00:00Z"})).json() == states[-1]


@pytest.mark.parametrize("seed", range(8))
async def test_every_moment_of_every_life_is_the_state_of_then(
    store: PostgresEventStore, http: httpx.AsyncClient, seed: int
) -> None:
    """The read model is the measure: it is read after each event, before the next one is appended."""
    order_id, events = uuid4(), lifecycle(random.Random(seed))
    states: list[tuple[datetime, dict[str, Any]]] = []
    for version, event in enumerate(events):
        at = START + timedelta(hours=version)
        await store.append([commit(order_id, version, event, at=at)])
        states.append((at, (await get(http, f"/orders/{order_id}", version + 1)).json()))
    for at, state in states:
        for moment in (at, at + timedelta(microseconds=1), at + timedelta(minutes=59, seconds=59)):
            assert await _as_of(http, order_id, moment) == state
    assert_problem(
        await http.get(f"/orders/{order_id}", params={"as_of": (START - timedelta(microseconds=1)).isoformat()}),
        404,
        "order-not-found",
    )


async def test_where_clocks_went_back_what_had_occurred_by_then_counts(
    store: PostgresEventStore, http: httpx.AsyncClient
) -> None:
    """Rows of an older release or an import: the second event's time is before the first one's."""
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed(), at=START)])
    await store.append([commit(order_id, 1, OrderConfirmed(), at=START - timedelta(hours=1))])
    await store.append([commit(order_id, 2, OrderCancelled(reason="late"), at=START + timedelta(hours=1))])
    assert (await _as_of(http, order_id, START))["version"] == 2
    assert (await _as_of(http, order_id, START + timedelta(hours=1)))["version"] == 3


async def test_what_was_not_yet_is_not_found(store: PostgresEventStore, http: httpx.AsyncClient) -> None:
    order_id = uuid4()
    await store.append([commit(order_id, 0, placed(), at=START)])
    problem = assert_problem(await http.get(f"/orders/{order_id}?version=2"), 404, "order-not-found")
    assert problem["detail"] == "The order is at version 1; there is no version 2 yet."
    early = {"as_of": "2000-01-01T00:00:00+09:00"}
    assert_problem(await http.get(f"/orders/{order_id}", params=early), 404, "order-not-found")
    assert_problem(await http.get(f"/orders/{uuid4()}?version=1"), 404, "order-not-found")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "query",
    ["version=0", "version=-1", "version=x", "version=2147483648", "as_of=yesterday", "as_of=2026", "as_of=20260101", "as_of=0", "as_of=-1", "as_of=1700000000.5", "as_of=2026-01-01T00:00:00",
     "version=1&as_of=2026-01-01T00:00:00Z", "asof=2026-01-01T00:00:00Z"],
)  # fmt: skip
async def test_a_time_that_is_none_is_refused(refusing_queries: httpx.AsyncClient, query: str) -> None:
    assert_problem(await refusing_queries.get(f"/orders/{uuid4()}?{query}"), 422, "validation-failed")


async def _as_of(http: httpx.AsyncClient, order_id: UUID, at: datetime) -> Any:
    answer = await http.get(f"/orders/{order_id}", params={"as_of": at.isoformat()})
    assert answer.status_code == 200, answer.text
    return answer.json()
