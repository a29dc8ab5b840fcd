"""Group commit when an append fails, a caller leaves or the service stops: nothing acknowledged is lost (I1)."""

import asyncio

import pytest

from command_service.errors import AppendRefused
from command_service.event_store import Appended, Duplicate
from command_service.group_commit import GroupCommit, Limits
from shared.errors import DaichoError, DatabaseUnavailable, OutcomeUnknown, Overloaded
from tests.support.events import a_commit, a_stream
from tests.support.waiting import wait_until
from tests.unit.gated_store import GatedStore, hold, running, start


async def test_a_batch_refused_for_its_data_is_split_until_only_the_culprit_fails() -> None:
    store, culprit = GatedStore(), a_commit()
    store.poison = culprit
    async with running(store) as group_commit:
        first = await hold(store, group_commit)
        commits = [*(a_commit() for _ in range(5)), culprit, *(a_commit() for _ in range(3))]
        tasks = await start(group_commit, *commits)
        store.gate.set()
        results = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert [type(result) for result in results] == [Appended] * 6 + [AppendRefused] + [Appended] * 3
    assert await store.head() == 9


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_append_without_an_answer_is_sent_again_as_it_was(when: str) -> None:
    store, commit = GatedStore(), a_commit()
    setattr(store, when, [OutcomeUnknown(), OutcomeUnknown()])
    async with running(store) as group_commit:
        outcome = await group_commit.append(commit)
    assert outcome.__class__.__name__ == ("Appended" if when == "before" else "Duplicate")
    assert store.calls == [[commit]] * 3
    assert await store.head() == 1


@pytest.mark.parametrize("then", [DatabaseUnavailable(), Overloaded()])
async def test_a_lost_answer_and_a_database_that_then_is_away_is_still_unknown(then: DaichoError) -> None:
    """What was sent first may have taken effect: it is never said that nothing was changed."""
    store = GatedStore()
    store.after = [OutcomeUnknown()]
    store.before = [None, then, then]
    async with running(store) as group_commit:
        assert isinstance(await group_commit.append(a_commit()), Duplicate)
    assert len(store.calls) == 4
    store.after, store.before = [OutcomeUnknown()], [None, *[then] * 20]
    async with running(store) as group_commit:
        with pytest.raises(OutcomeUnknown):
            await group_commit.append(a_commit())
    assert await store.head() == 2


async def test_what_is_not_sent_in_time_is_refused_while_others_are_in_flight() -> None:
    store, stream = GatedStore(), a_stream()
    async with running(store, Limits(deadline=0.05), lambda: 0.0) as group_commit:
        in_flight = await hold(store, group_commit)
        for waiting in await start(group_commit, *(a_commit(stream) for _ in range(10))):
            with pytest.raises(Overloaded, match="waited too long"):
                await waiting
        assert not in_flight.done()
        store.gate.set()
        assert isinstance(await in_flight, Appended)
        assert isinstance(await group_commit.append(a_commit()), Appended)
    assert len(store.calls) == 2


async def test_what_was_sent_is_never_said_to_have_changed_nothing() -> None:
    """Its caller is answered at its own deadline, though the append goes on."""
    store = GatedStore()
    async with running(store) as group_commit:
        sent = await hold(store, group_commit, seconds=0.01)
        with pytest.raises(OutcomeUnknown):
            await sent
        store.gate.set()
        await wait_until(lambda: _has(store, 1), "it has taken effect")


async def _has(store: GatedStore, events: int) -> bool:
    return await store.head() == events


async def test_no_answer_before_the_deadline_is_outcome_unknown() -> None:
    store = GatedStore()
    store.before = [OutcomeUnknown() for _ in range(20)]
    async with running(store, Limits(deadline=3.0)) as group_commit:
        with pytest.raises(OutcomeUnknown):
            await group_commit.append(a_commit())
    assert len(store.calls) < 10


async def test_a_database_that_is_away_fails_at_once() -> None:
    store = GatedStore()
    store.before = [DatabaseUnavailable("away")]
    async with running(store) as group_commit:
        with pytest.raises(DatabaseUnavailable):
            await group_commit.append(a_commit())
        assert isinstance(await group_commit.append(a_commit()), Appended)


async def test_a_database_that_is_away_fails_all_of_a_batch_and_none_of_the_next() -> None:
    store = GatedStore()
    async with running(store, Limits(batch_commits=2)) as group_commit:
        first = await hold(store, group_commit)
        tasks = await start(group_commit, *(a_commit() for _ in range(4)))
        store.before = [None, DatabaseUnavailable("away")]
        store.gate.set()
        _, *results = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert [type(result) for result in results] == [DatabaseUnavailable, DatabaseUnavailable, Appended, Appended]


async def test_a_whole_batch_without_an_answer_is_sent_again_as_it_was() -> None:
    store = GatedStore()
    async with running(store) as group_commit:
        first = await hold(store, group_commit)
        tasks = await start(group_commit, *(a_commit() for _ in range(3)))
        store.after = [None, OutcomeUnknown()]
        store.gate.set()
        _, *outcomes = await asyncio.gather(first, *tasks)
    assert [type(outcome) for outcome in outcomes] == [Duplicate] * 3
    assert store.calls[1] == store.calls[2]
    assert await store.head() == 4


async def test_what_arrives_while_an_answer_is_awaited_is_not_mixed_into_the_batch() -> None:
    store, one, other = GatedStore(), a_commit(), a_commit()
    store.before = [OutcomeUnknown()]
    async with running(store) as group_commit:
        tasks = await start(group_commit, one)
        tasks += await start(group_commit, other)
        await asyncio.gather(*tasks)
    assert store.calls == [[one], [one], [other]]


async def test_a_caller_who_leaves_while_it_is_in_flight_disturbs_nobody() -> None:
    store = GatedStore()
    async with running(store) as group_commit:
        leaving = await hold(store, group_commit)
        (staying,) = await start(group_commit, a_commit())
        leaving.cancel()
        store.gate.set()
        assert isinstance(await staying, Appended)
        assert leaving.cancelled()
    assert await store.head() == 2


async def test_a_caller_who_leaves_before_it_is_sent_takes_the_commit_back() -> None:
    store = GatedStore()
    async with running(store) as group_commit:
        first = await hold(store, group_commit)
        leaving, staying = await start(group_commit, a_commit(), a_commit())
        leaving.cancel()
        store.gate.set()
        await asyncio.gather(first, staying)
        await asyncio.gather(leaving, return_exceptions=True)
    assert await store.head() == 2


async def test_a_caller_who_leaves_takes_back_all_of_many_commits_that_were_not_sent() -> None:
    store = GatedStore()
    async with running(store, Limits(batch_commits=2)) as group_commit:
        store.gate.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(group_commit.append_all([a_commit() for _ in range(5)]), 0.05)
        store.gate.set()
        await group_commit.append(a_commit())
    assert [len(call) for call in store.calls] == [2, 1]


async def test_of_many_commits_the_deadline_tells_what_may_have_taken_effect() -> None:
    store = GatedStore()
    async with running(store, Limits(batch_commits=2)) as group_commit:
        store.gate.clear()
        overdue = asyncio.get_running_loop().time() + 0.05
        outcomes = await group_commit.append_all([a_commit() for _ in range(3)], overdue)
    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown, OutcomeUnknown, Overloaded]


async def test_closing_refuses_new_commits_and_answers_the_old() -> None:
    store = GatedStore()
    async with running(store) as group_commit:
        first = await hold(store, group_commit)
        (second,) = await start(group_commit, a_commit())
        closing = asyncio.create_task(group_commit.close())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="stopping"):
            await group_commit.append(a_commit())
        store.gate.set()
        await closing
        assert [type(task.result()) for task in (first, second)] == [Appended, Appended]


async def test_closing_with_nothing_to_do_returns_at_once() -> None:
    async with running(GatedStore()) as group_commit:
        await asyncio.wait_for(group_commit.close(), 1)


async def test_closing_does_not_wait_past_the_deadline() -> None:
    store = GatedStore()
    async with running(store, Limits(deadline=0.01), lambda: 0.0) as group_commit:
        sent = await hold(store, group_commit)
        (queued,) = await start(group_commit, a_commit())
        await group_commit.close()
        with pytest.raises(Overloaded):
            await queued
        assert not sent.done()
    with pytest.raises(OutcomeUnknown):
        await sent
    assert await store.head() == 0


async def test_a_writer_that_dies_leaves_nobody_waiting() -> None:
    store = GatedStore()
    store.before = [RuntimeError("bug")]
    group_commit = GroupCommit(store, Limits(), lambda: 0.0)
    (waiting,) = await start(group_commit, a_commit())
    with pytest.raises(RuntimeError):
        await group_commit.run()
    with pytest.raises(OutcomeUnknown):
        await waiting
