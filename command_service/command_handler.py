"""Carries a command out: load, decide, append; and again if others were faster."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic

from command_service.decider import C, Decider, E, S
from command_service.errors import ConcurrencyConflict, IdempotencyKeyReused, VersionMismatch
from command_service.event_store import Appended, Commit, Conflict, Duplicate, EventIdTaken, Outcome
from command_service.idempotency import IdempotencyKey
from shared.errors import DaichoError
from shared.event_log.events import DomainEvent, EventId, NewEvent, Position, StreamId, Version
from shared.event_log.reader import EventLog
from shared.event_log.registry import EventRegistry
from shared.ids import new_id

MAX_ATTEMPTS = 10
"""How often a command is decided before `ConcurrencyConflict`."""


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What surrounds a command: who sent it, why, and on which conditions.

    `command_id` is this very request's; `expected_version` is the client's If-Match.
    """

    command_id: str
    correlation_id: str
    actor: str | None = None
    traceparent: str | None = None
    idempotency_key: IdempotencyKey | None = None
    expected_version: Version | None = None

    def metadata(self) -> str:
        """Give the metadata of the events that the command leads to, as JSON."""
        members = {
            "correlation_id": self.correlation_id,
            "causation_id": self.command_id,
            "actor": self.actor,
            "traceparent": self.traceparent,
            "idempotency_fingerprint": self.idempotency_key.fingerprint if self.idempotency_key else None,
        }
        return json.dumps({name: value for name, value in members.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Handled(Generic[S]):
    """A command's result: the state after it, its last event's version and position.

    `replayed`: an earlier request with the same idempotency key had this result; nothing was done now.
    """

    stream: StreamId
    state: S
    version: Version
    position: Position
    replayed: bool = False


class CommandHandler(Generic[C, S, E]):
    """Handles the commands of one aggregate type."""

    def __init__(
        self,
        decider: Decider[C, S, E],
        events: EventRegistry,
        log: EventLog,
        append: Callable[[Commit], Awaitable[Outcome]],
        now: Callable[[], datetime],
    ) -> None:
        self._decider = decider
        self._events = events
        self._log = log
        self._append = append
        self._now = now

    async def handle(
        self, stream: StreamId, command: C, context: CommandContext, *, creates: bool = False
    ) -> Handled[S]:
        """Decide the command on the stream's state and append what it leads to.

        With `creates`, and no expected version, the stream is first taken not to exist, without looking. Raises what `decide` raises,
        `VersionMismatch`, `ConcurrencyConflict`, `IdempotencyKeyReused`, and what the append raises. A command
        that raised changed nothing, but for `OutcomeUnknown`.
        """
        before = Handled(stream, self._decider.initial_state, Version(0), Position(0))
        if not creates or context.expected_version is not None:
            before = await self._load(before)
        for _ in range(MAX_ATTEMPTS):
            handled = await self._attempt(command, before, context)
            if handled is not None:
                return handled
            before = await self._load(before)
        raise ConcurrencyConflict(MAX_ATTEMPTS)

    async def _attempt(self, command: C, before: Handled[S], context: CommandContext) -> Handled[S] | None:
        """Decide and append once; None if the stream has moved on meanwhile."""
        try:
            events = self._decide(command, before, context.expected_version)
        except DaichoError:
            if (earlier := await self._find_earlier(context)) is not None:
                return earlier
            raise
        if not events:
            return await self._find_earlier(context) or before
        match await self._append(self._commit(before, events, context)):
            case Appended(version, _, position):
                return self._after(before, events, version, position)
            case Duplicate(version, _, position) if context.idempotency_key is None:
                # Ids made for this request alone: its append was sent twice, after a lost answer.
                return self._after(before, events, version, position)
            case Duplicate() | EventIdTaken():
                return await self._find_earlier(context)
            case Conflict():
                return None

    def _decide(self, command: C, before: Handled[S], expected: Version | None) -> Sequence[E]:
        mismatch = expected is not None and expected != before.version
        if mismatch and before.version > 0:
            raise VersionMismatch(before.version)
        events = self._decider.decide(command, before.state)
        if mismatch:
            raise VersionMismatch(before.version)
        return events

    def _after(self, before: Handled[S], events: Sequence[E], version: Version, position: Position) -> Handled[S]:
        state = before.state
        for event in events:
            state = self._decider.evolve(state, event)
        return Handled(before.stream, state, version, position)

    async def _load(self, before: Handled[S]) -> Handled[S]:
        """Fold in what the stream holds past `before`."""
        state, version, position = before.state, before.version, before.position
        for recorded in await self._log.read_stream(before.stream, before.version):
            state = self._decider.evolve(state, self._decode(self._events.decode(recorded)))
            version, position = recorded.version, recorded.position
        return Handled(before.stream, state, version, position)

    async def _find_earlier(self, context: CommandContext) -> Handled[S] | None:
        """Give the result that the context's idempotency key had, if it has taken effect.

        Raises `IdempotencyKeyReused` if it stood for another request.
        """
        key = context.idempotency_key
        first = await self._log.find_event(key.event_id(0)) if key else None
        if key is None or first is None:
            return None
        metadata: dict[str, Any] = json.loads(first.metadata)
        if metadata.get("idempotency_fingerprint") != key.fingerprint:
            raise IdempotencyKeyReused
        result = Handled(first.stream, self._decider.initial_state, Version(0), Position(0))
        for recorded in await self._log.read_stream(first.stream):
            if recorded.version >= first.version and recorded.event_id != key.event_id(
                recorded.version - first.version
            ):
                break
            state = self._decider.evolve(result.state, self._decode(self._events.decode(recorded)))
            result = Handled(first.stream, state, recorded.version, recorded.position)
        return replace(result, replayed=metadata.get("causation_id") != context.command_id)

    def _commit(self, before: Handled[S], events: Sequence[E], context: CommandContext) -> Commit:
        occurred_at, metadata, key = self._now(), context.metadata(), context.idempotency_key
        return Commit(
            before.stream,
            before.version,
            tuple(
                NewEvent(
                    event_id=key.event_id(index) if key else EventId(new_id()),
                    event_type=event.event_type,
                    schema_version=event.schema_version,
                    data=event.model_dump_json(),
                    metadata=metadata,
                    occurred_at=occurred_at,
                )
                for index, event in enumerate(events)
            ),
        )

    @staticmethod
    def _decode(event: DomainEvent) -> E:
        # The registry of an aggregate holds its events only, so this is one of them.
        return event  # type: ignore[return-value]
