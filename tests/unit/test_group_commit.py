"""Group commit: who shares an append, and what is bounded (I10)."""

import asyncio
import json
from dataclasses import replace

import pytest

from command_service.errors import AppendRefused
from command_service.event_store import Appended, Conflict, EventIdTaken
from command_service.group_commit import Limits
from shared.errors import Overloaded
from shared.event_log.events import Position, Version
from tests.support.events import a_commit, a_stream, an_event
from tests.unit.gated_store import GatedStore, hold, running, start


async def test_a_lone_commit_is_sent_at_once() -> None:
    store = GatedStore()
    async with running(store) as group_commit:
        commit = a_commit()
        assert await group_commit.append(commit) == Appended(Version(1), Position(1), Position(1))
    assert store.calls == [[commit]]


async def test_what_arrives_while_a_batch_is_in_flight_goes_into_the_next_one() -> None:
    store = GatedStore()
    async with running(store) as group_commit:
        first = await hold(store, group_commit)
        tasks = await start(group_commit, *(a_commit() for _ in range(5)))
        store.gate.set()
        outcomes = await asyncio.gather(first, *tasks)
    assert [len(call) for call in store.calls] == [1, 5]
    assert [outcome.last_position for outcome in outcomes if isinstance(outcome, Appended)] == [1, 2, 3, 4, 5, 6]


async def test_a_batch_holds_one_commit_per_stream_and_per_event_id() -> None:
    store, stream, event = GatedStore(), a_stream(), an_event()
    async with running(store) as group_commit:
        first = await hold(store, group_commit)
        tasks = await start(
            group_commit,
            a_commit(stream),
            a_commit(stream),
            a_commit(a_stream(), 0, event),
            a_commit(a_stream(), 0, event),
            a_commit(),
        )
        store.gate.set()
        _, *outcomes = await asyncio.gather(first, *tasks)
    assert [len(call) for call in store.calls] == [1, 3, 2]
    assert [type(outcome) for outcome in outcomes] == [Appended, Conflict, Appended, EventIdTaken, Appended]


async def test_a_batch_is_bounded() -> None:
    store = GatedStore()
    async with running(store, Limits(batch_commits=2)) as group_commit:
        first = await hold(store, group_commit)
        tasks = await start(group_commit, *(a_commit() for _ in range(5)))
        store.gate.set()
        await asyncio.gather(first, *tasks)
    assert [len(call) for call in store.calls] == [1, 2, 2, 1]


@pytest.mark.parametrize(("batch_bytes", "sizes"), [(1, [1, 1, 1, 1]), (60, [1, 2, 1]), (1000, [1, 3])])
async def test_a_batch_ends_with_the_commit_that_fills_it(batch_bytes: int, sizes: list[int]) -> None:
    store = GatedStore()
    async with running(store, Limits(batch_bytes=batch_bytes)) as group_commit:
        first = await hold(store, group_commit)
        tasks = await start(group_commit, *(a_commit() for _ in range(3)))
        store.gate.set()
        await asyncio.gather(first, *tasks)
    assert [len(call) for call in store.calls] == sizes


async def test_commits_of_one_stream_are_sent_in_the_order_they_came() -> None:
    store, stream = GatedStore(), a_stream()
    async with running(store) as group_commit:
        first = await hold(store, group_commit)
        tasks = await start(group_commit, *(a_commit(stream, version) for version in range(4)), a_commit())
        store.gate.set()
        await asyncio.gather(first, *tasks)
    assert [[commit.expected_version for commit in call] for call in store.calls] == [[0], [0, 0], [1], [2], [3]]
    assert [task.result().__class__ for task in tasks] == [Appended] * 5


@pytest.mark.parametrize("limits", [Limits(queue_commits=2), Limits(queue_bytes=100)])
async def test_a_full_queue_refuses_at_once(limits: Limits) -> None:
    store = GatedStore()
    commits = [a_commit(a_stream(), 0, an_event(data="x" * 20)) for _ in range(3)]
    async with running(store, limits) as group_commit:
        first = await hold(store, group_commit)
        *accepted, refused = await start(group_commit, *commits)
        with pytest.raises(Overloaded):
            await asyncio.wait_for(refused, 1)
        store.gate.set()
        await asyncio.gather(first, *accepted)
        assert isinstance(await group_commit.append(a_commit()), Appended)


async def test_many_commits_of_one_caller_are_appended_as_if_each_had_its_own() -> None:
    store, stream = GatedStore(), a_stream()
    async with running(store, Limits(queue_commits=3)) as group_commit:
        first = await hold(store, group_commit)
        commits = [a_commit(stream), a_commit(stream), a_commit(), a_commit()]
        many = asyncio.create_task(group_commit.append_all(commits))
        await asyncio.sleep(0)
        store.gate.set()
        outcomes = await many
        await first
    assert [len(call) for call in store.calls] == [1, 2, 1]
    assert [type(outcome) for outcome in outcomes] == [Appended, Conflict, Appended, Overloaded]


async def test_of_many_commits_only_the_culprit_fails() -> None:
    store = GatedStore()
    async with running(store) as group_commit:
        commits = [a_commit() for _ in range(5)]
        store.poison = commits[3]
        outcomes = await group_commit.append_all(commits)
        assert [type(outcome) for outcome in outcomes] == [Appended] * 3 + [AppendRefused] + [Appended]
        assert await group_commit.append_all([]) == []


async def test_what_has_been_sent_makes_room() -> None:
    store = GatedStore()
    commits = [a_commit(a_stream(), 0, an_event(data="x" * 20)) for _ in range(6)]
    async with running(store, Limits(queue_commits=2, queue_bytes=120)) as group_commit:
        for pair in (commits[:2], commits[2:4], commits[4:]):
            await asyncio.gather(*(await start(group_commit, *pair)))
        assert group_commit._queued_bytes == 0
    assert await store.head() == 6


async def test_the_bytes_of_a_queue_are_bytes() -> None:
    store = GatedStore()
    event = replace(an_event(), data=json.dumps({"n": "茶" * 50}, ensure_ascii=False))
    assert len(event.data) < 100 < len(event.data.encode())
    async with running(store, Limits(queue_bytes=100)) as group_commit:
        await hold(store, group_commit)
        (refused,) = await start(group_commit, a_commit(a_stream(), 0, event))
        assert refused.done()
        assert isinstance(refused.exception(), Overloaded)
