"""Divides the log into ranges of aggregate ids, each of which is loaded in one transaction."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service.tables import rebuild_ranges
from shared.database import fetch_all
from shared.event_log.events import Position

EVENTS_PER_RANGE = 5_000
_SAMPLED = 50_000
_FIRST, _LAST = UUID(int=0), UUID(int=2**128 - 1)

_CUTS = text("""
SELECT aggregate_id, number FROM (
    SELECT aggregate_id, row_number() OVER (ORDER BY aggregate_id) AS number, count(*) OVER () AS sampled
    FROM event_store.events TABLESAMPLE SYSTEM (:percent) WHERE aggregate_type = :aggregate_type
) AS ids
WHERE number % :step = 0 OR number = sampled ORDER BY number
""")


class Range(NamedTuple):
    """The aggregates of a type with ids from one to another, both included; `estimate` is about how many events they have."""

    number: int
    aggregate_type: str
    first_id: UUID
    last_id: UUID
    estimate: int


async def plan(log_engine: AsyncEngine, aggregate_type: str, upto: Position) -> list[Range]:
    """Divide the events of an aggregate type up to a position into ranges of about equal size, by a sample of their ids.

    Each is then one ordered walk of the index on streams. Raises `DatabaseUnavailable`.
    """
    percent = min(100.0, 100.0 * _SAMPLED / max(upto, 1))
    step = max(1, round(EVENTS_PER_RANGE * percent / 100))
    parameters = {"percent": percent, "aggregate_type": aggregate_type, "step": step}
    rows = await fetch_all(log_engine, _CUTS, parameters)
    cuts: dict[UUID, int] = {row.aggregate_id: row.number for row in rows[:-1] if row.aggregate_id != _FIRST}
    starts, ends = [_FIRST, *cuts], [*(UUID(int=cut.int - 1) for cut in cuts), _LAST]
    sampled = pairwise([0, *cuts.values(), rows[-1].number if rows else 0])
    estimates = [ceil((upper - lower) / (percent / 100)) for lower, upper in sampled]
    return [Range(number, aggregate_type, *one) for number, one in enumerate(zip(starts, ends, estimates, strict=True))]


async def store(connection: AsyncConnection, run: UUID, ranges: Sequence[Range]) -> None:
    """Write down what a run has to load."""
    await connection.execute(insert(rebuild_ranges), [{"run": run, **one._asdict()} for one in ranges])


async def claim(connection: AsyncConnection, run: UUID) -> Range | None:
    """Take a range that is not loaded and that nobody else has, until the transaction ends; None if there is none."""
    row = rebuild_ranges.c
    query = (
        select(row.number, row.aggregate_type, row.first_id, row.last_id, row.estimate)
        .where(row.run == run, row.events.is_(None))
        .order_by(row.number)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    found = (await connection.execute(query)).one_or_none()
    return None if found is None else Range(*found)


async def loaded(connection: AsyncConnection, run: UUID, number: int, events: int) -> None:
    """Note that a range is loaded."""
    row = rebuild_ranges.c
    await connection.execute(update(rebuild_ranges).where(row.run == run, row.number == number).values(events=events))


async def left(connection: AsyncConnection, run: UUID) -> int:
    """Give the number of ranges that are not loaded."""
    row = rebuild_ranges.c
    count = select(func.count()).where(row.run == run, row.events.is_(None))
    return int((await connection.execute(count)).scalar_one())
