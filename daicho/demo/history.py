"""History: the events of many stories as the command service would have written them, in the order of time. Pure."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush
from uuid import UUID

from command_service.command_handler import CommandContext
from command_service.event_store import Commit
from command_service.orders.commands import CancelOrder
from command_service.orders.decider import DECIDER, OrderState
from daicho.demo.rhythm import at_work, placings
from daicho.demo.stories import Step, story
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from shared.orders.events import AGGREGATE_TYPE


@dataclass(slots=True)
class _Order:
    """An order, and the step of its story that comes next."""

    name: str
    stream: StreamId
    step: Step
    later: Iterator[Step]
    state: OrderState = DECIDER.initial_state
    version: Version = Version(0)
    last_event_id: EventId | None = None


_Due = list[tuple[datetime, int, _Order]]
"""A heap of orders by when their next step is due; of two at once, the one placed first."""


def history(seed: int, orders: int, since: datetime, until: datetime) -> Iterator[Commit]:
    """Give one commit after the other, as their events occurred, one or more in each.

    What would come after `until` is left out: the last orders are still open.
    """
    randomness = random.Random(seed)
    due: _Due = []
    for number, at in enumerate(placings(randomness, orders, since, until)):
        yield from _until(at, due, randomness)
        life = story(seed, number)
        steps = life.without_mistakes()
        stream = StreamId(AGGREGATE_TYPE, _id(at, randomness))
        heappush(due, (at, number, _Order(life.name, stream, next(steps), steps)))
    yield from _until(until, due, randomness)


def batches(commits: Iterable[Commit], size: int) -> Iterator[list[Commit]]:
    """Group commits, in order, so that none of up to so many holds two of one stream."""
    batch: dict[StreamId, Commit] = {}
    for commit in commits:
        if commit.stream in batch or len(batch) == size:
            yield list(batch.values())
            batch = {}
        batch[commit.stream] = commit
    if batch:
        yield list(batch.values())


def _until(end: datetime, due: _Due, randomness: random.Random) -> Iterator[Commit]:
    while due and due[0][0] <= end:
        at, number, order = heappop(due)
        yield _commit(order, at, randomness)
        step = next(order.later, None)
        if step is not None:
            order.step = step
            next_at = at + step.after
            # Customers cancel at any hour; confirming and shipping is work.
            heappush(due, (next_at if isinstance(step.command, CancelOrder) else at_work(next_at), number, order))


def _commit(order: _Order, at: datetime, randomness: random.Random) -> Commit:
    """Decide the order's next step, as the command handler does."""
    context = CommandContext(command_id=str(_id(at, randomness)), correlation_id=order.name)
    metadata = context.metadata()
    (event,) = DECIDER.decide(order.step.command, order.state)
    new = NewEvent(
        event_id=EventId(_id(at, randomness)),
        event_type=event.event_type,
        schema_version=event.schema_version,
        data=event.model_dump_json(),
        metadata=metadata,
        occurred_at=at,
    )
    commit = Commit(order.stream, order.version, (new,), order.last_event_id)
    order.state = DECIDER.evolve(order.state, event)
    order.version, order.last_event_id = Version(order.version + 1), new.event_id
    return commit


def _id(at: datetime, randomness: random.Random) -> UUID:
    """Make the UUIDv7 of a moment."""
    milliseconds = int(at.timestamp() * 1000)
    bits = randomness.getrandbits(74)
    return UUID(int=milliseconds << 80 | 7 << 76 | bits >> 62 << 64 | 2 << 62 | bits & (1 << 62) - 1)
