"""A notification's payload is a hint: whatever anyone sends on the channels, projector, tail and rebuild go on (I4, I5, I9)."""

import random

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from query_service import tables
from shared.event_log.tables import CHANNEL
from tests.support.http import PATIENT, plain_client
from tests.support.orders import append_orders
from tests.support.replay import assert_read_models_equal_a_replay
from tests.support.served import served
from tests.support.sse import streaming
from tests.support.waiting import wait_until

RANDOMNESS = random.Random(11)
ROUNDS = 12
PAYLOADS = [
    "", "0", "-1", "1", str(2**63), "9" * 7000, "reset", "RESET", "reset ", "NaN", "1e400", "null", '{"position": 1}', "[" * 5000,
    "\u202e", "\U0001f375" * 1500, "order_summaries", "daicho", "' OR 1=1 --", "\x01\x1f\x7f", " ", "1_0", "\u0661",
]  # fmt: skip
NOTIFY = text("SELECT pg_notify(:channel, :payload)")


async def shout(engine: AsyncEngine, payloads: list[str]) -> None:
    async with engine.connect() as connection:
        for payload in payloads:
            for channel in (CHANNEL, tables.CHANNEL):
                await connection.execute(NOTIFY, {"channel": channel, "payload": payload})


def noise() -> list[str]:
    """Give some payloads: those above, names of processes that may be there, and any text."""
    anything = "".join(chr(RANDOMNESS.randrange(1, 0xD800)) for _ in range(RANDOMNESS.randrange(200)))
    return [*RANDOMNESS.sample(PAYLOADS, 6), anything, str(RANDOMNESS.randrange(10**12))]


async def test_any_payload_is_no_more_than_a_hint(
    database: str, engine: AsyncEngine, store: PostgresEventStore
) -> None:
    """Without polling: it is notifications that wake, the true ones among the others."""
    async with (
        served(database, poll_interval=60.0, max_streams=5) as service,
        streaming(service.port, after=0) as client,
        plain_client(base_url=service.url, timeout=60) as http,
    ):
        head, seen = 0, 0
        for number in range(ROUNDS):
            await shout(engine, noise())
            head += await append_orders(store, 3, number)
            await shout(engine, noise())
            if number == ROUNDS // 2:
                assert (await http.post("/projections/order_items/rebuild")).status_code == 202
            answer = await http.get("/statistics", headers={"Event-Position": str(head), **PATIENT})
            assert answer.status_code == 200, answer.text
            assert int(answer.headers["Event-Position"]) == head
            beyond = await http.get("/statistics", headers={"Event-Position": str(head + 1), "Prefer": "wait=0"})
            assert beyond.status_code == 503, "nobody has been there yet"
            assert await client.positions(head - seen) == list(range(seen + 1, head + 1))
            seen = head

        async def rebuilt() -> bool:
            statuses = (await http.get("/projections")).json()
            return all(one["rebuild"] is None and one["position"] == head for one in statuses) and any(
                one["last_rebuild"] for one in statuses
            )

        await wait_until(rebuilt, "the rebuild has ended", 60)
        assert (await http.get("/health/ready")).status_code == 200
    await assert_read_models_equal_a_replay(engine)
