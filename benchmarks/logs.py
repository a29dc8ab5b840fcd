"""Logs filled for a benchmark, by the append function: positions, versions and seals are as of any other append."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from benchmarks.floor import DATA, METADATA
from command_service.event_store import Appended, Commit
from command_service.postgres_store import PostgresEventStore
from shared.database import create_engine
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from shared.ids import new_id

_AT_ONCE = 500
_SCHEMA_VERSION = 2


def placed(order_id: UUID) -> Commit:
    """Give the commit that places an order."""
    return Commit(StreamId("order", order_id), Version(0), (_event("OrderPlaced", _SCHEMA_VERSION, DATA),))


def confirmed(order_id: UUID) -> Commit:
    """Give a commit that places an order and confirms it."""
    first = placed(order_id)
    return Commit(first.stream, Version(0), (*first.events, _event("OrderConfirmed", 1, "{}")))


async def append(url: str, commits: Sequence[Commit]) -> None:
    """Append so many commits at once, all of which must be new."""
    engine = create_engine(url, application_name="daicho-bench", pool_size=1, statement_timeout=None)
    try:
        store = PostgresEventStore(engine)
        for start in range(0, len(commits), _AT_ONCE):
            outcomes = await store.append(commits[start : start + _AT_ONCE])
            if not all(isinstance(outcome, Appended) for outcome in outcomes):
                raise AssertionError("a commit was not new")
    finally:
        await engine.dispose()


async def orders(url: str, count: int, *, are_confirmed: bool = False) -> list[UUID]:
    """Append so many orders; give their ids."""
    ids = [new_id() for _ in range(count)]
    await append(url, [confirmed(one) if are_confirmed else placed(one) for one in ids])
    return ids


def write_ids(path: Path, ids: Sequence[UUID]) -> Path:
    """Write ids for the load generator."""
    path.write_text("\n".join(map(str, ids)), encoding="utf-8")
    return path


def _event(event_type: str, schema_version: int, data: str) -> NewEvent:
    return NewEvent(EventId(new_id()), event_type, schema_version, data, METADATA, datetime.now(UTC))
