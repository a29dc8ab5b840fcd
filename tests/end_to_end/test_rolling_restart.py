"""Two replicas of each service behind a proxy, restarted one after the other under load: no request fails. I1, I9."""

from contextlib import AsyncExitStack
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.balancer import balanced
from tests.support.processes import service
from tests.support.steady_clients import steady_clients
from tests.support.waiting import wait_until

pytestmark = pytest.mark.load

DRAIN = "4"


@pytest.mark.timeout(300)
async def test_no_request_fails_while_replicas_are_restarted_in_turn(
    database: str, engine: AsyncEngine, request: pytest.FixtureRequest
) -> None:
    rounds = request.config.getoption("--rounds")
    async with AsyncExitStack() as stack:
        replicas = {
            name: [
                await stack.enter_async_context(service(name, database, DAICHO_DRAIN_SECONDS=DRAIN)) for _ in range(2)
            ]
            for name in ("command", "query")
        }
        proxies = {
            name: await stack.enter_async_context(balanced(*(one.url for one in those)))
            for name, those in replicas.items()
        }
        async with steady_clients(proxies["command"].url, proxies["query"].url) as seen:
            for _ in range(rounds):
                for name, replica in [(name, one) for name, those in replicas.items() for one in those]:
                    before = len(seen.placed)
                    assert await replica.stop() == 0
                    await replica.start()
                    await wait_until(partial(proxies[name].knows, replica.url), "the proxy sends to it again")
                    assert len(seen.placed) > before, "the other replica served meanwhile"
    assert seen.failed == []
    async with engine.connect() as connection:
        logged = await connection.scalars(text("SELECT aggregate_id::text FROM event_store.events"))
        assert sorted(logged) == sorted(seen.placed)
    restarts = rounds * sum(map(len, replicas.values()))
    print(f"\n{restarts} restarts: {len(seen.placed)} commands and {seen.reads} reads, none of which failed")  # noqa: T201
