"""The command handler over the store in memory: retries and conditions; what is refused changes nothing (I6)."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from command_service.command_handler import MAX_ATTEMPTS
from command_service.errors import AppendRefused, ConcurrencyConflict, VersionMismatch
from command_service.event_store import Commit, Conflict, Outcome
from command_service.memory_store import InMemoryEventStore
from command_service.orders.commands import CancelOrder, ConfirmOrder, ShipOrder
from command_service.orders.errors import InvalidTransition, OrderAlreadyExists, OrderNotFound
from shared.errors import DaichoError, DatabaseUnavailable, OutcomeUnknown, Overloaded
from shared.event_log.events import Position, RecordedEvent, StreamId, Version
from tests.support.events import WHEN
from tests.unit.handlers import PLACE, Handler, a_context, a_handler, an_idle_handler, an_order


async def test_commands_move_an_order_along(handler: Handler) -> None:
    order = an_order()
    placed = await handler.handle(order, PLACE, a_context(), creates=True)
    assert (placed.state.status, placed.version, placed.position) == ("pending", 1, 1)
    confirmed = await handler.handle(order, ConfirmOrder(), a_context())
    assert (confirmed.state.status, confirmed.version, confirmed.position) == ("confirmed", 2, 2)


async def test_an_order_placed_without_looking_is_still_placed_once(
    handler: Handler, store: InMemoryEventStore
) -> None:
    order = an_order()
    await handler.handle(order, PLACE, a_context(), creates=True)
    with pytest.raises(OrderAlreadyExists):
        await handler.handle(order, PLACE, a_context(), creates=True)
    assert await store.head() == 1


async def test_after_a_conflict_it_decides_again_on_what_is_new(handler: Handler, store: InMemoryEventStore) -> None:
    order = an_order()
    await handler.handle(order, PLACE, a_context(), creates=True)
    raced = False

    async def append_after_another_confirmed(commit: Commit) -> Outcome:
        nonlocal raced
        if not raced:
            raced = True
            await handler.handle(order, ConfirmOrder(), a_context())
        return (await store.append([commit]))[0]

    slow = a_handler(store, append_after_another_confirmed)
    with pytest.raises(InvalidTransition) as refused:
        await slow.handle(order, ConfirmOrder(), a_context())
    assert refused.value.status == "confirmed"
    assert await store.head() == 2


async def test_after_a_conflict_a_command_still_allowed_goes_behind_what_is_new(
    handler: Handler, store: InMemoryEventStore
) -> None:
    order, expected = an_order(), []
    await handler.handle(order, PLACE, a_context(), creates=True)

    async def append_after_another_confirmed(commit: Commit) -> Outcome:
        expected.append(commit.expected_version)
        if len(expected) == 1:
            await handler.handle(order, ConfirmOrder(), a_context())
        return (await store.append([commit]))[0]

    slow = a_handler(store, append_after_another_confirmed)
    cancelled = await slow.handle(order, CancelOrder(reason="late"), a_context())
    assert (cancelled.state.status, cancelled.version, cancelled.position) == ("cancelled", 3, 3)
    assert expected == [1, 2]


async def test_each_retry_reads_from_the_last_event_that_it_knows(store: InMemoryEventStore) -> None:
    order, read = an_order(), []
    await a_handler(store).handle(order, PLACE, a_context(), creates=True)
    await a_handler(store).handle(order, ConfirmOrder(), a_context())

    class Watched(InMemoryEventStore):
        async def read_stream(self, stream: StreamId, after_version: Version = Version(0)) -> Sequence[RecordedEvent]:
            read.append(after_version)
            return await store.read_stream(stream, after_version)

    async def always_late(_: Commit) -> Outcome:
        return Conflict(Version(2))

    watched = Watched(lambda: WHEN)
    with pytest.raises(ConcurrencyConflict):
        await a_handler(watched, always_late).handle(order, ShipOrder(), a_context())
    assert read == [0] + [1] * MAX_ATTEMPTS


async def test_retries_are_bounded(store: InMemoryEventStore, handler: Handler) -> None:
    order, attempts = an_order(), 0
    await handler.handle(order, PLACE, a_context(), creates=True)

    async def always_late(_: Commit) -> Outcome:
        nonlocal attempts
        attempts += 1
        return Conflict(Version(1))

    with pytest.raises(ConcurrencyConflict):
        await a_handler(store, always_late).handle(order, ConfirmOrder(), a_context())
    assert attempts == MAX_ATTEMPTS


async def test_with_an_expected_version_it_never_retries(store: InMemoryEventStore, handler: Handler) -> None:
    order, attempts = an_order(), 0
    await handler.handle(order, PLACE, a_context(), creates=True)

    async def lost_race(_: Commit) -> Outcome:
        nonlocal attempts
        attempts += 1
        await handler.handle(order, ConfirmOrder(), a_context())
        return Conflict(Version(2))

    with pytest.raises(VersionMismatch) as mismatch:
        await a_handler(store, lost_race).handle(order, ConfirmOrder(), a_context(expected=1))
    assert (mismatch.value.current_version, attempts) == (2, 1)


async def test_an_expected_version_comes_before_the_rules_but_not_before_existence(handler: Handler) -> None:
    order = an_order()
    with pytest.raises(OrderNotFound):
        await handler.handle(order, ConfirmOrder(), a_context(expected=3))
    await handler.handle(order, PLACE, a_context(), creates=True)
    with pytest.raises(VersionMismatch):
        await handler.handle(order, ShipOrder(), a_context(expected=3))


async def test_the_version_that_the_order_has_is_as_good_as_none(handler: Handler) -> None:
    order = an_order()
    await handler.handle(order, PLACE, a_context(), creates=True)
    confirmed = await handler.handle(order, ConfirmOrder(), a_context(expected=1))
    assert confirmed.version == 2


@pytest.mark.parametrize("expected", [1, 2])
async def test_placing_with_an_expected_version_tells_the_version_that_the_order_has(
    handler: Handler, expected: int
) -> None:
    order = an_order()
    await handler.handle(order, PLACE, a_context(), creates=True)
    with pytest.raises((VersionMismatch, OrderAlreadyExists)) as refused:
        await handler.handle(order, PLACE, a_context(expected=expected), creates=True)
    assert refused.value.members() in ({}, {"version": 1})


async def test_events_tell_who_caused_them_and_when(handler: Handler, store: InMemoryEventStore) -> None:
    context = replace(a_context("k"), actor="aiko", traceparent="00-1-2-03")
    await handler.handle(an_order(), PLACE, context, creates=True)
    await handler.handle(an_order(), PLACE, a_context(), creates=True)
    first, second = await store.read_all(Position(0), 10)
    assert json.loads(first.metadata) == {
        "correlation_id": "c",
        "causation_id": context.command_id,
        "actor": "aiko",
        "traceparent": "00-1-2-03",
        "idempotency_fingerprint": "f",
    }
    assert json.loads(second.metadata).keys() == {"correlation_id", "causation_id"}
    assert (first.event_type, first.schema_version, first.occurred_at) == ("OrderPlaced", 2, WHEN)


async def test_a_command_that_leads_to_nothing_is_answered_with_what_there_is(store: InMemoryEventStore) -> None:
    order = an_order()
    await a_handler(store).handle(order, PLACE, a_context(), creates=True)
    handled = await an_idle_handler(store).handle(order, ConfirmOrder(), a_context("k"))
    assert (handled.state.status, handled.version, handled.position, handled.replayed) == ("pending", 1, 1, False)


@pytest.mark.parametrize("error", [OutcomeUnknown(), AppendRefused("no"), DatabaseUnavailable("away")])
async def test_what_the_append_raises_is_not_tried_again(store: InMemoryEventStore, error: DaichoError) -> None:
    attempts = 0

    async def fail(_: Commit) -> Outcome:
        nonlocal attempts
        attempts += 1
        raise error

    with pytest.raises(type(error)):
        await a_handler(store, fail).handle(an_order(), PLACE, a_context("k"), creates=True)
    assert attempts == 1


async def test_what_is_not_read_before_the_deadline_is_refused_and_changes_nothing() -> None:
    class Stuck(InMemoryEventStore):
        async def read_stream(self, stream: StreamId, after_version: Version = Version(0)) -> Sequence[RecordedEvent]:
            await asyncio.Event().wait()
            return await super().read_stream(stream, after_version)

    store, deadline = Stuck(lambda: WHEN), asyncio.get_running_loop().time() + 0.05
    with pytest.raises(Overloaded, match="in time"):
        await a_handler(store).handle(an_order(), ConfirmOrder(), replace(a_context(), deadline=deadline))
    assert await store.head() == 0


async def test_the_append_has_what_the_reads_have_left_of_the_deadline(store: InMemoryEventStore) -> None:
    deadlines: list[float | None] = []

    async def append(commit: Commit) -> Outcome:
        return (await store.append([commit]))[0]

    handler = a_handler(store, append, deadlines.append)
    deadline = asyncio.get_running_loop().time() + 60
    await handler.handle(an_order(), PLACE, replace(a_context(), deadline=deadline), creates=True)
    assert deadlines == [deadline]
