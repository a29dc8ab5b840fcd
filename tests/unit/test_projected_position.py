"""Waiting for a position: woken when it is reached, told when it is not, bounded (I9, I10)."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_service.projected_position import ProjectedPosition, ReadModelBehind
from shared.errors import Overloaded
from shared.event_log.events import Position

NAMES = ("one", "two")


def at(position: Position) -> dict[str, Position]:
    return dict.fromkeys(NAMES, position)


async def waiting(projected: ProjectedPosition, *positions: int) -> "list[asyncio.Task[None]]":
    tasks = [asyncio.create_task(projected.wait_for(NAMES, Position(position), 30)) for position in positions]
    await asyncio.sleep(0)
    return tasks


async def test_a_position_already_reached_is_not_waited_for() -> None:
    projected = ProjectedPosition(max_waiting=0)
    projected.advance(at(Position(5)))
    await projected.wait_for(NAMES, Position(5), 0)


async def test_those_whose_position_is_reached_are_woken_and_no_others() -> None:
    projected = ProjectedPosition(max_waiting=10)
    tasks = await waiting(projected, 3, 1, 2, 5)
    projected.advance(at(Position(3)))
    await asyncio.gather(*tasks[:3])
    assert not tasks[3].done()
    projected.advance(at(Position(9)))
    await tasks[3]


async def test_it_never_moves_back() -> None:
    projected = ProjectedPosition(max_waiting=1)
    projected.advance(at(Position(5)))
    projected.advance(at(Position(3)))
    assert projected.value() == 5


async def test_a_position_that_does_not_come_is_told() -> None:
    projected = ProjectedPosition(max_waiting=1)
    projected.advance(at(Position(2)))
    with pytest.raises(ReadModelBehind) as behind:
        await projected.wait_for(NAMES, Position(3), 0)
    assert behind.value.members() == {"position": 2, "min_position": 3}


async def test_too_many_who_wait_are_refused_but_those_who_left_do_not_count() -> None:
    projected = ProjectedPosition(max_waiting=2)
    first, _ = await waiting(projected, 1, 2)
    with pytest.raises(Overloaded):
        await projected.wait_for(NAMES, Position(1), 30)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    (third,) = await waiting(projected, 1)
    projected.advance(at(Position(1)))
    await third


async def test_whoever_left_neither_stops_the_others_nor_stays_behind() -> None:
    projected = ProjectedPosition(max_waiting=10)
    left, stayed, later = await waiting(projected, 2, 2, 5)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    projected.advance(at(Position(2)))
    await stayed
    assert projected.waiting == 1
    later.cancel()
    await asyncio.gather(later, return_exceptions=True)
    projected.advance(at(Position(2)))
    assert projected._waiting == {}


async def test_whoever_gave_up_makes_room() -> None:
    projected = ProjectedPosition(max_waiting=1)
    for _ in range(3):
        with pytest.raises(ReadModelBehind):
            await projected.wait_for(NAMES, Position(9), 0)
    assert projected.waiting == 1


async def test_all_who_wait_for_one_position_are_woken_together() -> None:
    projected = ProjectedPosition(max_waiting=100)
    tasks = await waiting(projected, *[7] * 100)
    projected.advance(at(Position(6)))
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    projected.advance(at(Position(7)))
    await asyncio.gather(*tasks)


@given(st.lists(st.integers(1, 20), max_size=12), st.lists(st.integers(0, 20), max_size=6))
def test_a_move_wakes_exactly_those_whose_position_it_reaches(wanted: list[int], moves: list[int]) -> None:
    async def play() -> None:
        projected = ProjectedPosition(max_waiting=12)
        tasks = await waiting(projected, *wanted)
        for reached in moves:
            projected.advance(at(Position(reached)))
            for _ in range(2):
                await asyncio.sleep(0)
            assert [task.done() for task in tasks] == [position <= projected.value() for position in wanted]
        projected.advance(at(Position(20)))
        await asyncio.gather(*tasks)

    asyncio.run(play())
