"""A large log verifies, moves, and tells where it was altered. `--events 1000000` is the full size; the default is a sample."""

import asyncio
import random
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from tests.support.databases import Server, cloned, connected
from tests.support.orders import commit, lifecycle
from tests.support.processes import daicho

pytestmark = pytest.mark.load

WRITERS = 3
BATCH = 200


@pytest.fixture
async def target(postgres: Server, template: str) -> AsyncIterator[str]:
    async with cloned(postgres, template) as url:
        yield url


@pytest.mark.timeout(1800)
async def test_a_large_log_verifies_and_moves(
    request: pytest.FixtureRequest, database: str, target: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    events: int = request.config.getoption("--events")
    await _fill(engine, events)
    total = await PostgresEventStore(engine).head()
    file = tmp_path / "large.gz"
    for url, command, line in (
        (database, ["verify"], rf"{total:,} events in [\d,]+ seals: nothing was altered"),
        (database, ["export", str(file)], rf"{re.escape(str(file))}: {total:,} events, [\d,.]+ MB"),
        (target, ["import", str(file)], rf"{total:,} events in [\d,]+ seals imported and verified"),
        (target, ["verify"], rf"{total:,} events in [\d,]+ seals: nothing was altered"),
    ):
        code, output = await daicho(url, *command)
        assert code == 0, output
        assert re.match(line + r" \([\d,]+ events/s\)", output), output
        sys.stdout.write(output.splitlines()[0] + "\n")
    file.unlink()
    altered = random.Random(events).randrange(total // 2, total) + 1
    async with connected(target) as other, other.connect() as connection:
        await connection.execute(text("ALTER TABLE event_store.events DISABLE TRIGGER ALL"))
        change = "event_data = event_data || '{\"note\": 1}'"
        await connection.execute(text(f"UPDATE event_store.events SET {change} WHERE position = {altered}"))
    assert await daicho(target, "verify") == (
        3, f"daicho: the log was altered at position {altered}: it is not what was sealed\n",
    )  # fmt: skip


async def _fill(engine: AsyncEngine, events: int) -> None:
    """Append whole lives of orders until there are so many events."""
    store = PostgresEventStore(engine)

    async def write(number: int) -> None:
        randomness = random.Random(number)
        while await store.head() < events:
            await store.append([commit(uuid4(), 0, *lifecycle(randomness)) for _ in range(BATCH)])

    await asyncio.gather(*(write(number) for number in range(WRITERS)))
