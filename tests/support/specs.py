"""Given / when / then, for deciders and for row projections."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

import pytest

from command_service.decider import C, Decider, E, S
from query_service.projection import DecodedEvent
from shared.errors import DaichoError
from shared.event_log.events import DomainEvent, EventId, Position, RecordedEvent, StreamId, Version

R = TypeVar("R")

AGGREGATE_ID = UUID(int=7)


@dataclass(frozen=True, slots=True)
class DeciderSpec(Generic[C, S, E]):
    """`DeciderSpec(decider).given(events).when(command).then(events)`."""

    decider: Decider[C, S, E]
    history: tuple[E, ...] = ()
    command: C | None = None

    def given(self, *events: E) -> "DeciderSpec[C, S, E]":
        return DeciderSpec(self.decider, events)

    def when(self, command: C) -> "DeciderSpec[C, S, E]":
        return DeciderSpec(self.decider, self.history, command)

    def then(self, *events: E) -> None:
        assert tuple(self._decide()) == events

    def then_raises(self, error: type[DaichoError], **data: object) -> None:
        with pytest.raises(error) as refused:
            self._decide()
        for name, value in data.items():
            assert getattr(refused.value, name) == value

    def _decide(self) -> Sequence[E]:
        state = self.decider.initial_state
        for event in self.history:
            state = self.decider.evolve(state, event)
        assert self.command is not None
        return self.decider.decide(self.command, state)


def decoded(events: Sequence[DomainEvent], start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> list[DecodedEvent]:
    """Give events as a projection gets them: one stream, versions 1, 2, 3 …, one a second."""
    return [
        DecodedEvent(
            RecordedEvent(
                position=Position(number),
                stream=StreamId("order", AGGREGATE_ID),
                version=Version(number),
                event_type=event.event_type,
                schema_version=event.schema_version,
                event_id=EventId(uuid4()),
                data=event.model_dump_json(),
                metadata="{}",
                occurred_at=start.replace(second=number),
                recorded_at=start.replace(second=number),
            ),
            event,
        )
        for number, event in enumerate(events, 1)
    ]


def folded(fold: Callable[[R | None, DecodedEvent], R], events: Sequence[DomainEvent]) -> R:
    """Give the row that a projection's fold makes of events."""
    row: Any = None
    for one in decoded(events):
        row = fold(row, one)
    assert row is not None
    result: R = row
    return result
