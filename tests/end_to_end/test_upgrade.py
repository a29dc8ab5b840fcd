"""An upgrade as docs/how-to/upgrade.md has it, under load: the release before goes on on the new schema, and is replaced. I1, I5, I9."""

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from daicho.migrate import migrate
from tests.support import previous_release
from tests.support.balancer import balanced
from tests.support.databases import Server, cloned, connected
from tests.support.processes import service
from tests.support.replay import read_models, replayed
from tests.support.steady_clients import Seen, steady_clients
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.load, pytest.mark.walks]

DRAIN = "4"


@pytest.mark.timeout(300)
async def test_no_request_fails_while_the_release_before_is_replaced(postgres: Server, tmp_path: Path) -> None:
    before = await previous_release.unpacked(tmp_path)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(cloned(postgres, "template1"))
        await previous_release.migrate(before, database)
        replicas = {
            name: [
                await stack.enter_async_context(service(name, database, before, DAICHO_DRAIN_SECONDS=DRAIN))
                for _ in range(2)
            ]
            for name in ("command", "query")
        }
        proxies = {
            name: await stack.enter_async_context(balanced(*(one.url for one in those)))
            for name, those in replicas.items()
        }
        async with steady_clients(proxies["command"].url, proxies["query"].url) as seen:
            await _some_more(seen)
            await migrate(database, database)
            await _some_more(seen)
            for name, replica in [(name, one) for name, those in replicas.items() for one in those]:
                assert await replica.is_ready(), "the release before is ready on the new schema"
                assert await replica.stop() == 0
                replica.folder = None  # this release's code
                await replica.start()
                await wait_until(partial(proxies[name].knows, replica.url), "the proxy sends to it again")
                await _some_more(seen)
        assert seen.failed == []
        engine = await stack.enter_async_context(connected(database))
        async with engine.connect() as connection:
            logged = await connection.scalars(text("SELECT aggregate_id::text FROM event_store.events"))
            assert sorted(logged) == sorted(seen.placed)
        assert await read_models(engine) == await replayed(engine)
    print(  # noqa: T201
        f"\nfrom {previous_release.VERSION}: {len(seen.placed)} commands and {seen.reads} reads, none of which failed"
    )


async def _some_more(seen: Seen) -> None:
    """Wait until commands were answered that were sent after now."""
    enough = len(seen.placed) + 50

    async def are_placed() -> bool:
        assert seen.failed == []
        return len(seen.placed) >= enough

    await wait_until(are_placed, "commands are answered")
