"""Idempotency over the store in memory: a key never takes effect twice (I7)."""

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from command_service.errors import IdempotencyKeyReused
from command_service.event_store import Commit, Outcome
from command_service.idempotency import IdempotencyKey
from command_service.memory_store import InMemoryEventStore
from command_service.orders.commands import ConfirmOrder, ShipOrder
from command_service.orders.errors import InvalidTransition
from shared.errors import DatabaseUnavailable, OutcomeUnknown
from shared.event_log.events import EventId, RecordedEvent, StreamId
from tests.support.events import WHEN
from tests.unit.handlers import PLACE, Handler, a_context, a_handler, an_idle_handler, an_order


async def test_a_command_that_was_refused_leaves_its_key_free(handler: Handler, store: InMemoryEventStore) -> None:
    order = an_order()
    await handler.handle(order, PLACE, a_context(), creates=True)
    with pytest.raises(InvalidTransition):
        await handler.handle(order, ShipOrder(), a_context("k"))
    assert await store.head() == 1
    await handler.handle(order, ConfirmOrder(), a_context())
    shipped = await handler.handle(order, ShipOrder(), a_context("k"))
    assert (shipped.version, shipped.replayed) == (3, False)


async def test_a_key_replays_its_result_though_the_rules_now_decide_nothing(
    handler: Handler, store: InMemoryEventStore
) -> None:
    order = an_order()
    placed = await handler.handle(order, PLACE, a_context("k"), creates=True)
    await handler.handle(order, ConfirmOrder(), a_context())
    assert await an_idle_handler(store).handle(order, PLACE, a_context("k")) == replace(placed, replayed=True)


async def test_the_same_key_at_the_same_time_takes_effect_once(store: InMemoryEventStore) -> None:
    """Both decide before either appends."""
    arrived = asyncio.Barrier(2)

    async def append_together(commit: Commit) -> Outcome:
        await arrived.wait()
        return (await store.append([commit]))[0]

    handler = a_handler(store, append_together)
    one, other = await asyncio.gather(
        *(handler.handle(an_order(), PLACE, a_context("k"), creates=True) for _ in range(2))
    )
    assert {one.replayed, other.replayed} == {False, True}
    assert replace(one, replayed=False) == replace(other, replayed=False)
    assert await store.head() == 1


async def test_a_key_replays_its_result_even_after_more_has_happened(
    handler: Handler, store: InMemoryEventStore
) -> None:
    order, context = an_order(), a_context("k")
    placed = await handler.handle(order, PLACE, context, creates=True)
    await handler.handle(order, ConfirmOrder(), a_context())
    again = await handler.handle(order, PLACE, a_context("k"), creates=True)
    assert again == replace(placed, replayed=True)
    assert await store.head() == 2


async def test_a_key_replays_the_first_order_though_the_service_made_another_id(handler: Handler) -> None:
    placed = await handler.handle(an_order(), PLACE, a_context("k"), creates=True)
    again = await handler.handle(an_order(), PLACE, a_context("k"), creates=True)
    assert (again.stream, again.replayed) == (placed.stream, True)


async def test_a_result_found_for_this_very_request_is_no_replay(store: InMemoryEventStore) -> None:
    """The append was sent twice, after a lost answer."""
    context = a_context("k")

    async def append_twice(commit: Commit) -> Outcome:
        await store.append([commit])
        return (await store.append([commit]))[0]

    for one in (context, a_context()):
        handled = await a_handler(store, append_twice).handle(an_order(), PLACE, one, creates=True)
        assert (handled.replayed, handled.version) == (False, 1)


@pytest.mark.parametrize("order_id", [UUID(int=1), UUID(int=2)])
async def test_a_key_of_another_request_is_refused(handler: Handler, store: InMemoryEventStore, order_id: UUID) -> None:
    await handler.handle(StreamId("order", UUID(int=1)), PLACE, a_context("k"), creates=True)
    with pytest.raises(IdempotencyKeyReused):
        await handler.handle(StreamId("order", order_id), PLACE, a_context("k", "other"), creates=True)
    assert await store.head() == 1


async def test_a_key_of_another_principal_is_another_key(handler: Handler, store: InMemoryEventStore) -> None:
    for principal in ("one", "two"):
        context = replace(a_context(), idempotency_key=IdempotencyKey(principal, "k", "f"))
        assert not (await handler.handle(an_order(), PLACE, context, creates=True)).replayed
    assert await store.head() == 2


async def test_a_replay_is_found_though_the_rules_now_refuse(handler: Handler) -> None:
    order = an_order()
    await handler.handle(order, PLACE, a_context(), creates=True)
    first = await handler.handle(order, ConfirmOrder(), a_context("k", expected=1))
    again = await handler.handle(order, ConfirmOrder(), a_context("k", expected=1))
    assert again == replace(first, replayed=True)


async def test_a_command_known_to_have_taken_effect_is_never_called_undone(store: InMemoryEventStore) -> None:
    """Its append was sent twice, and the look at what it came to fails."""

    class Away(InMemoryEventStore):
        async def find_event(self, event_id: EventId) -> RecordedEvent | None:
            raise DatabaseUnavailable("away")

    async def append_twice(commit: Commit) -> Outcome:
        await store.append([commit])
        return (await store.append([commit]))[0]

    with pytest.raises(OutcomeUnknown):
        await a_handler(Away(lambda: WHEN), append_twice).handle(an_order(), PLACE, a_context("k"), creates=True)
    assert await store.head() == 1
