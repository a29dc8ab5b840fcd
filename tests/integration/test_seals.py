"""Each append call seals its rows; the chain can be recomputed with hashlib and the documented form alone."""

import hashlib
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from tests.support.events import a_commit, a_stream, an_event

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def test_the_chain_of_seals_is_recomputed_from_the_rows(engine: AsyncEngine) -> None:
    store = PostgresEventStore(engine)
    stream = a_stream()
    await store.append([a_commit(stream, 0, an_event(data={"text": "línea\n台帳"}), an_event()), a_commit()])
    await store.append([a_commit(stream, 0)])  # a conflict: nothing to seal
    await store.append([a_commit(stream, 2)])
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT *, event_data::text AS data, metadata::text AS meta FROM event_store.events ORDER BY position")
        )
        events = list(rows)
        seals = list(await connection.execute(text("SELECT * FROM event_store.seals ORDER BY last_position")))
    assert [(seal.first_position, seal.last_position) for seal in seals] == [(1, 3), (4, 4)]
    previous = b""
    for seal in seals:
        sealed = events[seal.first_position - 1 : seal.last_position]
        content = "".join(
            f"{e.position}\n{e.aggregate_type}\n{e.aggregate_id}\n{e.version}\n{e.event_type}\n{e.schema_version}\n"
            f"{e.event_id}\n{e.data}\n{e.meta}\n{_micros(e.occurred_at)}\n{_micros(e.recorded_at)}\n"
            for e in sealed
        )
        previous = hashlib.sha256(previous + content.encode()).digest()
        assert seal.digest == previous


def _micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)
