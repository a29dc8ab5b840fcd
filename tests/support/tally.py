"""An aggregate of the tests' own, with streams as long as one likes: a tally that never falls below nothing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, assert_never
from uuid import uuid4

from command_service.decider import Decider
from command_service.event_store import Commit, EventStore
from command_service.snapshots import StateSchema
from shared.errors import DaichoError
from shared.event_log.events import DomainEvent, EventId, NewEvent, StreamId, Version
from shared.event_log.registry import EventRegistry
from tests.support.events import WHEN


class Added(DomainEvent):
    """Some were added, for a reason."""

    event_type: ClassVar = "TallyAdded"

    amount: int
    reason: str = ""


class Taken(DomainEvent):
    """Some were taken."""

    event_type: ClassVar = "TallyTaken"

    amount: int


TallyEvent = Added | Taken
EVENTS = EventRegistry.of((Added, Taken))


@dataclass(frozen=True, slots=True)
class Add:
    """Add some; `times` events of it."""

    amount: int
    times: int = 1


@dataclass(frozen=True, slots=True)
class Take:
    """Take some."""

    amount: int


TallyCommand = Add | Take


class TooFew(DaichoError):
    """There are not so many."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many there are, and what was added last."""

    total: int = 0
    last: str | None = None


def decide(command: TallyCommand, state: Tally) -> Sequence[TallyEvent]:
    match command:
        case Add(amount, times):
            return tuple(Added(amount=amount, reason=f"{state.total}+{number}") for number in range(times))
        case Take(amount):
            if amount > state.total:
                raise TooFew
            return (Taken(amount=amount),)
        case _:
            assert_never(command)


def evolve(state: Tally, event: TallyEvent) -> Tally:
    match event:
        case Added(amount=amount, reason=reason):
            return Tally(state.total + amount, reason)
        case Taken(amount=amount):
            return Tally(state.total - amount, state.last)
        case _:
            assert_never(event)


DECIDER: Decider[TallyCommand, Tally, TallyEvent] = Decider(Tally(), decide, evolve)
STATE: StateSchema[Tally] = StateSchema(Tally)


def a_tally() -> StreamId:
    return StreamId("tally", uuid4())


async def append_added(store: EventStore, stream: StreamId, events: int, start: int = 0) -> None:
    """Append so many `Added` of 1 to a stream that has `start` events, in commits of up to 1,000."""
    for first in range(start, start + events, 1000):
        numbers = range(first, min(first + 1000, start + events))
        added = tuple(
            NewEvent(
                event_id=EventId(uuid4()),
                event_type=Added.event_type,
                schema_version=1,
                data=Added(amount=1, reason=f"number {number}").model_dump_json(),
                metadata=json.dumps({"correlation_id": "tally"}),
                occurred_at=WHEN + timedelta(microseconds=number),
            )
            for number in numbers
        )
        await store.append([Commit(stream, Version(first), added)])
