"""Loading waits for a live generation that lags, as long as that one moves."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from query_service.rebuild import giving_way
from query_service.rebuild.giving_way import GivingWay
from tests.support.databases import connected
from tests.support.orders import append_orders
from tests.support.projecting import Projecting

LONG = 1e9


class Pauses:
    """Counts the pauses, and does something in each."""

    def __init__(self, during: Callable[[], Awaitable[object]] | None = None) -> None:
        self.count = 0
        self.during = during

    async def sleep(self, _: float) -> None:
        self.count += 1
        if self.during is not None:
            await self.during()


@pytest.fixture(autouse=True)
def _any_lag_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(giving_way, "_MOST_LAG", 0.0)


async def test_it_waits_until_the_live_generation_is_there_or_stands_still(
    database: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PostgresEventStore(engine)
    await append_orders(store, 10)
    head = await store.head()
    async with connected(database, autocommit=False) as read_engine, read_engine.connect() as connection:
        one = Projecting(engine, read_engine, batch=1)
        await one.register()
        async with connected(database, autocommit=False) as log_engine, log_engine.connect() as log:
            way, pauses = GivingWay(connection, log), Pauses(one.apply_next)
            monkeypatch.setattr("query_service.rebuild.giving_way.asyncio.sleep", pauses.sleep)
            await way.after(worked=LONG)
            assert pauses.count == head

            await append_orders(store, 10, seed=2)
            await way.after(worked=0.0)
            assert pauses.count == head

            pauses.count, pauses.during = 0, None
            await way.after(worked=LONG)
            stood_still = pauses.count
            assert stood_still > 1
            await way.after(worked=LONG)
            assert pauses.count == stood_still

            await one.apply_next()
            await way.after(worked=LONG)
            assert pauses.count == 2 * stood_still
