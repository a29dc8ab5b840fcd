"""Appends a history to an empty log, by the append function: positions, versions and seals are as of any other append."""

import asyncio
from collections.abc import Iterator, Sequence

from command_service.event_store import Appended, Commit, EventStore, Outcome
from daicho.errors import HistoryTooLate
from daicho.operating import Advance


async def backfill(store: EventStore, batches: Iterator[list[Commit]], advance: Advance, stop: asyncio.Event) -> int:
    """Append batch by batch until the history is over, or `stop`; give the number of events.

    Each batch is durable once appended. `advance` is told of orders placed. Raises `HistoryTooLate` if there are other
    events in the log, or come meanwhile: the order of the log would not be that of time.
    """
    if head := await store.head():
        raise HistoryTooLate(f"the log holds {head:,} events")
    events = 0
    batch = await asyncio.to_thread(next, batches, None)
    while batch is not None and not stop.is_set():
        # While PostgreSQL is at work on one batch, the next one is made.
        outcomes, following = await asyncio.gather(store.append(batch), asyncio.to_thread(next, batches, None))
        _require_at(events + 1, outcomes)
        events += sum(len(commit.events) for commit in batch)
        advance(sum(commit.expected_version == 0 for commit in batch))
        batch = following
    return events


def _require_at(position: int, outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if not isinstance(outcome, Appended) or outcome.first_position != position:
            raise HistoryTooLate(f"others wrote to the log at position {position:,}, up to where history is now")
        position = outcome.last_position + 1
