"""What PostgreSQL alone does: a table like the log's, and events' rows put into it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import asyncpg

from benchmarks import servers
from benchmarks.bodies import ORDER
from shared.database_url import database_url
from shared.ids import new_id

DATA = json.dumps({**ORDER, "total_amount": "73.00"})
METADATA = json.dumps({"correlation_id": str(new_id()), "causation_id": str(new_id()), "actor": "client-1"})

_COLUMNS = "position, aggregate_type, aggregate_id, version, event_type, schema_version, event_id, event_data, metadata, occurred_at, recorded_at"
_WIDTH = 11


async def make_table(url: str) -> None:
    """Make `floor.events`: columns, constraints and indexes of the log, no triggers."""
    for statement in (
        "CREATE SCHEMA floor",
        "CREATE TABLE floor.events (LIKE event_store.events INCLUDING ALL)",
        "CREATE SEQUENCE floor.positions CACHE 1",
    ):
        await servers.execute(url, statement)


async def multi_row_inserts(url: str, rows: int, seconds: float) -> float:
    """Insert so many rows a statement, prepared, on one connection, a commit each; give rows a second of inserting."""
    connection = await connect(url)
    try:
        start = await connection.fetchval("SELECT greatest(coalesce(max(position), 0), 1000000000) FROM floor.events")
        places = ", ".join(
            "(" + ", ".join(f"${row * _WIDTH + column + 1}" for column in range(_WIDTH)) + ")" for row in range(rows)
        )
        insert = await connection.prepare(f"INSERT INTO floor.events ({_COLUMNS}) VALUES {places}")
        count, spent = 0, 0.0
        while spent < seconds:
            values = _rows(start + count, rows)
            started = perf_counter()
            await insert.fetch(*values)
            spent += perf_counter() - started
            count += rows
        return count / spent
    finally:
        await connection.close()


async def connect(url: str) -> "asyncpg.Connection[Any]":
    """Connect by the driver alone."""
    plain = database_url(url).set(drivername="postgresql")
    return await asyncpg.connect(plain.render_as_string(hide_password=False))


def _rows(after: int, count: int) -> Sequence[object]:
    now = datetime.now(UTC)
    return [
        value
        for number in range(1, count + 1)
        for value in (after + number, "order", new_id(), 1, "OrderPlaced", 2, new_id(), DATA, METADATA, now, now)
    ]
