"""The demo against a real log: history is a ledger like any other, traffic goes on whatever happens to its requests."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit, Outcome
from command_service.postgres_store import PostgresEventStore
from daicho.demo import loading
from daicho.demo.backfill import backfill
from daicho.demo.history import batches, history
from daicho.demo.loading import load_history
from daicho.demo.stories import Mistake, Step, story
from daicho.demo.tally import Tally
from daicho.demo.traffic import Traffic
from daicho.errors import HistoryTooLate
from daicho.settings import OperatorSettings
from tests.support.apps import query_service
from tests.support.http import events, get, place
from tests.support.orders import append_orders, commit, placed
from tests.support.processes import daicho
from tests.support.replay import assert_log_is_sound, assert_read_models_equal_a_replay

SEED = 15
"""Of its first 30 stories, each kind of step and mistake is in one."""


def settings(database: str) -> OperatorSettings:
    return OperatorSettings(database_url=SecretStr(database))


def some_history(orders: int = 300) -> list[list[Commit]]:
    until = datetime.now(UTC)
    return list(batches(history(SEED, orders, until - timedelta(days=30), until), 50))


async def test_history_is_a_ledger_like_any_other(
    database: str, engine: AsyncEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """I2, I3, I5."""
    async with query_service(database) as http:
        await load_history(settings(database), SEED, 2000, 6, asyncio.Event())
        head = await assert_log_is_sound(engine)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("2,000 orders of history since ")
        assert f" {head:,} events in " in lines[0]
        assert lines[1].startswith("the read models show it all")
        since = (datetime.now(UTC) - timedelta(days=190)).date().isoformat()
        until = datetime.now(UTC).date().isoformat()
        daily = await get(http, "/statistics/daily", head, **{"from": since, "to": until})
        statistics = (await get(http, "/statistics", head)).json()
    days = [day for day in daily.json()["days"] if day["placed_count"]]
    assert 170 < len(days) <= 181
    assert sum(day["placed_count"] for day in days) == statistics["total_count"] == 2000
    await assert_read_models_equal_a_replay(engine)
    code, output = await daicho(database, "verify")
    assert (code, output.startswith(f"{head:,} events in ")) == (0, True), output


async def test_the_log_is_in_the_order_of_time(engine: AsyncEngine) -> None:
    await backfill(PostgresEventStore(engine), iter(some_history()), lambda _: None, asyncio.Event())
    rows = await events(engine)
    times = [row.occurred_at for row in rows]
    assert times == sorted(times)
    assert len({row.aggregate_id for row in rows}) == 300


async def test_without_a_query_service_it_says_what_is_to_be_done(
    database: str, engine: AsyncEngine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_PATIENCE_SECONDS", 0.0)
    await load_history(settings(database), SEED, 20, 1, asyncio.Event())
    head = await assert_log_is_sound(engine)
    assert f"the read models are {head} events behind: a query service projects them" in capsys.readouterr().out


async def test_a_log_that_holds_events_takes_no_history(
    database: str, engine: AsyncEngine, commands: httpx.AsyncClient
) -> None:
    await place(commands)
    with pytest.raises(HistoryTooLate, match="the log holds 1 events, and history comes before all else"):
        await load_history(settings(database), SEED, 20, 1, asyncio.Event())
    assert len(await events(engine)) == 1


class Interrupted(PostgresEventStore):
    """Others append in between."""

    async def append(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        outcomes = await super().append(commits)
        if await self.head() > 100:
            await append_orders(PostgresEventStore(self._engine), 1)
        return outcomes


async def test_history_ends_where_others_write(engine: AsyncEngine) -> None:
    with pytest.raises(HistoryTooLate, match=r"others wrote to the log at position 1\d\d"):
        await backfill(Interrupted(engine), iter(some_history()), lambda _: None, asyncio.Event())
    assert await assert_log_is_sound(engine) < 200


async def test_history_of_an_order_that_is_there_is_refused(engine: AsyncEngine) -> None:
    taken = some_history(5)[0][0]

    async def head() -> int:
        return 0

    store = PostgresEventStore(engine)
    await store.append([commit(taken.stream.aggregate_id, 0, placed())])
    store.head = head  # type: ignore[method-assign,assignment]
    with pytest.raises(HistoryTooLate):
        await backfill(store, iter([[taken]]), lambda _: None, asyncio.Event())
    assert len(await events(engine)) == 1


async def test_told_to_stop_it_stops_after_a_batch(engine: AsyncEngine) -> None:
    stop, placed_orders = asyncio.Event(), 0

    def advance(orders: int) -> None:
        nonlocal placed_orders
        placed_orders += orders
        if placed_orders > 50:
            stop.set()

    appended = await backfill(PostgresEventStore(engine), iter(some_history()), advance, stop)
    assert appended == await assert_log_is_sound(engine)
    assert 50 < placed_orders < 150


class Faulty(httpx.AsyncBaseTransport):
    """Of the requests passed on, loses every third answer; every fifth request it turns away, unanswered by the service."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._requests = 0
        self.faults = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._requests += 1
        if self._requests % 5 == 0:
            self.faults += 1
            return httpx.Response(503, headers={"Retry-After": "0"})
        answer = await self._inner.handle_async_request(request)
        if self._requests % 3 == 0:
            self.faults += 1
            raise httpx.ReadError("the answer is lost")
        return answer


def expected(orders: int) -> Tally:
    """Give what comes of the stories when nothing else happens."""
    steps: list[Step] = [step for number in range(orders) for step in story(SEED, number).steps]
    tally = Tally()
    for step in steps:
        if step.mistake is Mistake.TWICE:
            tally.repeated += 1
        elif step.mistake:
            tally.refused += 1
        else:
            tally.count(step.command)
    return tally


@pytest.fixture
async def faulty(commands: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=Faulty(commands._transport), base_url="http://localhost") as http:
        yield http


async def test_what_is_put_off_or_lost_is_sent_again_and_takes_effect_once(
    engine: AsyncEngine, faulty: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I7."""
    monkeypatch.setattr("daicho.demo.traffic.backoff", lambda **_: iter(lambda: 0.0, None))
    traffic = Traffic(faulty, SEED, 500.0, orders=30)
    await traffic.run()
    wanted = expected(30)
    wanted.put_off = faulty._transport.faults  # type: ignore[attr-defined]
    assert wanted.put_off > 30
    assert min(wanted.named().values()) > 0
    assert traffic.tally == wanted
    types = Counter(row.event_type for row in await events(engine))
    assert types == {
        "OrderPlaced": wanted.placed, "OrderConfirmed": wanted.confirmed,
        "OrderShipped": wanted.shipped, "OrderCancelled": wanted.cancelled,
    }  # fmt: skip
    await assert_log_is_sound(engine)


async def test_the_same_seed_again_repeats_and_adds_nothing(engine: AsyncEngine, commands: httpx.AsyncClient) -> None:
    first, again = (Traffic(commands, SEED, 500.0, orders=10) for _ in range(2))
    await first.run()
    head = await assert_log_is_sound(engine)
    await again.run()
    assert (again.tally.placed, again.tally.repeated >= first.tally.placed) == (0, True)
    assert await assert_log_is_sound(engine) == head


async def test_an_order_that_somebody_else_has_changed_is_left_to_them(
    engine: AsyncEngine, commands: httpx.AsyncClient
) -> None:
    """Its story acts on the version that it knows."""
    inner, paths = commands._transport, list[str]()

    class Meddling(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            paths.append(request.url.path)
            if request.url.path.endswith("/confirm"):
                order = request.url.path.removesuffix("/confirm")
                await commands.post(f"{order}/cancel", json={"reason": "from the dashboard"})
            return await inner.handle_async_request(request)

    async with httpx.AsyncClient(transport=Meddling(), base_url="http://localhost") as http:
        traffic = Traffic(http, SEED, 500.0, orders=5)
        await traffic.run()
    confirmed = {
        path.removesuffix("/confirm"): paths[number + 1 :] for number, path in enumerate(paths) if "/conf" in path
    }
    assert len(confirmed) == 5
    for order, later in confirmed.items():
        assert not [path for path in later if path.startswith(order)]
    assert (traffic.tally.placed, traffic.tally.confirmed, traffic.tally.shipped) == (5, 0, 0)
    query = "SELECT count(*) FROM event_store.events WHERE event_type = 'OrderCancelled'"
    async with engine.connect() as connection:
        assert await connection.scalar(text(query)) == 5
