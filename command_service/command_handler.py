"""Carries a command out: load, decide, append; and again if others were faster."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, Generic, TypeVar

from command_service.decider import C, Decider, E, S
from command_service.errors import ConcurrencyConflict, IdempotencyKeyReused, VersionMismatch
from command_service.event_store import Appended, Commit, Conflict, Duplicate, EventIdTaken, EventStore, Outcome
from command_service.idempotency import IdempotencyKey
from command_service.repository import Known, Repository
from shared.errors import DaichoError, DatabaseUnavailable, OutcomeUnknown, Overloaded
from shared.event_log.events import EventId, NewEvent, Position, RecordedEvent, StreamId, Version
from shared.ids import new_id

T = TypeVar("T")

MAX_ATTEMPTS = 10
"""How often a command is decided before `ConcurrencyConflict`."""

_TICK = timedelta(microseconds=1)
"""The least time between two events of a stream: what PostgreSQL keeps."""


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What surrounds a command: who sent it, why, and on which conditions.

    `command_id` is this very request's; `expected_version` is the client's If-Match. `deadline` is when it must have
    been answered, in the event loop's time.
    """

    command_id: str
    correlation_id: str
    actor: str | None = None
    traceparent: str | None = None
    idempotency_key: IdempotencyKey | None = None
    expected_version: Version | None = None
    deadline: float | None = None

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

    @classmethod
    def of(cls, known: Known[S], *, replayed: bool = False) -> "Handled[S]":
        """Build from a state that the log has."""
        return cls(known.stream, known.state, known.version, known.position, replayed)


@dataclass(frozen=True, slots=True)
class Decided(Generic[S, E]):
    """What was decided on a state, and the commit to append for it."""

    context: CommandContext
    known: Known[S]
    events: Sequence[E]
    commit: Commit


class CommandHandler(Generic[C, S, E]):
    """Handles the commands of one aggregate type."""

    def __init__(
        self,
        decider: Decider[C, S, E],
        repository: Repository[S, E],
        log: EventStore,
        append: Callable[[Commit, float | None], Awaitable[Outcome]],
        now: Callable[[], datetime],
    ) -> None:
        self._decider = decider
        self._repository = repository
        self._log = log
        self._append = append
        self._now = now

    async def handle(
        self, stream: StreamId, command: C, context: CommandContext, *, creates: bool = False
    ) -> Handled[S]:
        """Decide the command on the stream's state and append what it leads to.

        A state that this process knows is taken as it is, and with `creates` one that it does not know is taken not
        to exist: the append tells if that was wrong. Nothing is refused, though, without a look at the log.

        Raises what `decide` raises, `VersionMismatch`, `ConcurrencyConflict`, `IdempotencyKeyReused`, what the
        append raises, and `Overloaded` if it was not decided before its deadline. A command that raised changed nothing,
        but for `OutcomeUnknown`.
        """
        known = self._at_hand(stream, creates=creates)
        if known is None:
            known = await _in_time(self._repository.load(stream), context)
        return await self._handle_from(command, known, context)

    def begin(
        self, stream: StreamId, command: C, context: CommandContext, *, creates: bool = False
    ) -> Decided[S, E] | None:
        """Decide as `handle` first does, for a caller who appends many commits at once, and then tells the outcome.

        None if it takes a look at the log first: such a command is to be handled by itself.
        """
        known = self._at_hand(stream, creates=creates)
        if known is None:
            return None
        try:
            events = self._decide(command, known, context.expected_version)
        except DaichoError:
            return None
        return Decided(context, known, events, self._commit(known, events, context)) if events else None

    def appended(self, decided: Decided[S, E], position: Position) -> Handled[S]:
        """Give the result of what was appended, its last event at `position`."""
        last = decided.commit.events[-1]
        return Handled.of(
            self._repository.appended(decided.known, decided.events, position, last.occurred_at, last.event_id)
        )

    async def finish(self, command: C, decided: Decided[S, E], outcome: Outcome) -> Handled[S]:
        """Go on as `handle` does when an append had this outcome; raises as it does."""
        handled = await self._result(decided, outcome)
        if handled is not None:
            return handled
        known = await _in_time(self._repository.catch_up(decided.known), decided.context)
        return await self._handle_from(command, known, decided.context)

    def _at_hand(self, stream: StreamId, *, creates: bool) -> Known[S] | None:
        """Give the state to begin with, if it need not be loaded."""
        known = self._repository.cached(stream)
        return self._repository.nothing(stream) if known is None and creates else known

    async def _handle_from(self, command: C, known: Known[S], context: CommandContext) -> Handled[S]:
        for _ in range(MAX_ATTEMPTS):
            handled = await self._attempt(command, known, context)
            if handled is not None:
                return handled
            known = await _in_time(self._repository.catch_up(known), context)
        raise ConcurrencyConflict(MAX_ATTEMPTS)

    async def _attempt(self, command: C, known: Known[S], context: CommandContext) -> Handled[S] | None:
        """Decide and append once; None if it has to be decided anew, on what the log holds now."""
        try:
            events = self._decide(command, known, context.expected_version)
        except DaichoError:
            if not known.current:
                return None
            if (earlier := await self._find_earlier(context)) is not None:
                return earlier
            raise
        if not events:
            if not known.current:
                return None
            await self._settle(context)
            return await self._find_earlier(context) or Handled.of(known)
        decided = Decided(context, known, events, self._commit(known, events, context))
        return await self._result(decided, await self._append(decided.commit, context.deadline))

    async def _result(self, decided: Decided[S, E], outcome: Outcome) -> Handled[S] | None:
        """Give what an append led to; None if the stream was at another version."""
        context = decided.context
        match outcome:
            case Appended(_, _, position):
                return self.appended(decided, position)
            case Duplicate(_, _, position) if context.idempotency_key is None:
                # Ids made for this request alone: its append was sent twice, after a lost answer.
                return self.appended(decided, position)
            case Duplicate() | EventIdTaken():
                try:
                    return await self._find_earlier(context)
                except (DatabaseUnavailable, Overloaded) as error:
                    raise OutcomeUnknown from error  # It, or an earlier one with its key, took effect.
            case Conflict():
                return None

    def _decide(self, command: C, known: Known[S], expected: Version | None) -> Sequence[E]:
        mismatch = None if expected in {None, known.version} else VersionMismatch(known.version, expected)
        if mismatch and known.version > 0:
            raise mismatch
        events = self._decider.decide(command, known.state)
        if mismatch:
            raise mismatch
        return events

    async def _find_earlier(self, context: CommandContext) -> Handled[S] | None:
        """Give the result that the context's idempotency key had, if it has taken effect.

        Raises `IdempotencyKeyReused` if it stood for another request, and `OutcomeUnknown` if it may yet be lost.
        """
        key = context.idempotency_key
        return None if key is None else await self._find(key, context)

    async def _find(self, key: IdempotencyKey, context: CommandContext) -> Handled[S] | None:
        first = await _in_time(self._log.find_event(key.event_id(0)), context)
        if first is None:
            return None
        metadata: dict[str, Any] = json.loads(first.metadata)
        if metadata.get("idempotency_fingerprint") != key.fingerprint:
            raise IdempotencyKeyReused
        start = first.version

        def of_then(recorded: RecordedEvent) -> bool:
            number = recorded.version - start
            return number < 0 or recorded.event_id == key.event_id(number)

        until_then = list(takewhile(of_then, await _in_time(self._log.read_stream(first.stream), context)))
        known = self._repository.fold(self._repository.nothing(first.stream), until_then)
        await self._settle(context)
        return Handled.of(known, replayed=metadata.get("causation_id") != context.command_id)

    async def _settle(self, context: CommandContext) -> None:
        """Have what was read be safe. Raises `OutcomeUnknown`: it is in the log, and may yet be lost."""
        try:
            await _in_time(self._log.settle(), context)
        except Overloaded as error:
            raise OutcomeUnknown from error

    def _commit(self, known: Known[S], events: Sequence[E], context: CommandContext) -> Commit:
        metadata, key, at = context.metadata(), context.idempotency_key, self._now()
        if known.occurred_at is not None:
            # The clocks of replicas differ, but in a stream time only moves forward.
            at = max(at, known.occurred_at + _TICK)
        return Commit(
            known.stream,
            known.version,
            tuple(
                NewEvent(
                    event_id=key.event_id(index) if key else EventId(new_id()),
                    event_type=event.event_type,
                    schema_version=event.schema_version,
                    data=event.model_dump_json(),
                    metadata=metadata,
                    occurred_at=at + index * _TICK,
                )
                for index, event in enumerate(events)
            ),
            known.event_id,
        )


async def _in_time(reading: Awaitable[T], context: CommandContext) -> T:
    """Wait for a read, which is given up when the command's deadline comes: nothing was changed then."""
    try:
        async with asyncio.timeout_at(context.deadline):
            return await reading
    except TimeoutError as error:
        raise Overloaded("It was not decided in time.") from error
