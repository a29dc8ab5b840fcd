"""64 concurrent clients: I1, I2, I3 and I5 hold. `--commands 5000` is the full size; the default is a sample of it."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

import aiohttp
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER
from tests.support.processes import service
from tests.support.replay import assert_log_is_sound, assert_read_models_equal_a_replay
from tests.support.waiting import wait_until

pytestmark = pytest.mark.load

CLIENTS = 64


@dataclass(slots=True)
class Acknowledged:
    """What the service said is in the log: (order, version) by position."""

    events: dict[int, tuple[UUID, int]] = field(default_factory=dict)

    def add(self, answer: dict[str, object]) -> None:
        position = int(str(answer["position"]))
        assert position not in self.events, "a position was given twice"
        self.events[position] = (UUID(str(answer["order_id"])), int(str(answer["version"])))


@pytest.mark.timeout(1800)
async def test_every_acknowledged_command_is_in_the_log_once(
    request: pytest.FixtureRequest, database: str, engine: AsyncEngine
) -> None:
    commands: int = request.config.getoption("--commands")
    acknowledged = Acknowledged()
    async with service("command", database) as writer, service("query", database) as reader:
        connector = aiohttp.TCPConnector(limit=CLIENTS)
        async with aiohttp.ClientSession(writer.url, connector=connector) as http:
            await asyncio.gather(*(_client(http, commands, acknowledged) for _ in range(CLIENTS)))
        assert len(acknowledged.events) == CLIENTS * commands
        await wait_until(lambda: _projected(reader.url, len(acknowledged.events)), "the read models are current", 300)
    assert await assert_log_is_sound(engine) == CLIENTS * commands
    async with engine.connect() as connection:
        query = text("SELECT position, aggregate_id, version FROM event_store.events")
        logged = {row.position: (row.aggregate_id, row.version) for row in await connection.execute(query)}
    assert logged == acknowledged.events
    await assert_read_models_equal_a_replay(engine)


async def _client(http: aiohttp.ClientSession, commands: int, acknowledged: Acknowledged) -> None:
    """Send so many commands: place, confirm, ship; place, cancel; and again."""
    order_id = ""
    for number in range(commands):
        step = number % 5
        path, body, status = {
            0: ("/orders", ORDER, 201),
            1: (f"/orders/{order_id}/confirm", {}, 200),
            2: (f"/orders/{order_id}/ship", {"carrier": "Yamato"}, 200),
            3: ("/orders", ORDER, 201),
            4: (f"/orders/{order_id}/cancel", {"reason": "load test"}, 200),
        }[step]
        async with http.post(path, json=body) as answer:
            content = await answer.json()
            assert answer.status == status, content
            acknowledged.add(content)
            order_id = content["order_id"]


async def _projected(url: str, position: int) -> bool:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/projections") as answer:
        return all(projection["position"] == position for projection in await answer.json())
