"""Those who ask the same at once share an answer, which is read after all of them came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from query_service.answer_cache import NOTE, Answer, AnswerCache, Note
from query_service.conditional import ConditionalAnswers
from query_service.projected_position import ProjectedPosition
from query_service.shared_answers import SharedAnswers, Turn
from shared.event_log.events import Position
from tests.support.waiting import wait_until

PATH = b"/things"
KEPT = Note("thing", ("things",), Position(7), can_be_kept=True, has_tag=True)


class Reading:
    """An app whose answers are held back until they are let go, and count how many were read before them."""

    def __init__(self, note: Note = KEPT) -> None:
        self.projected = ProjectedPosition(10)
        self.projected.advance({"things": Position(7)})
        self.app = ConditionalAnswers(self._read, AnswerCache(0), self.projected)
        self.reads = 0
        self._note = note
        self._gates: list[asyncio.Event] = []

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reads += 1
        body, gate = b"%d" % self.reads, asyncio.Event()
        self._gates.append(gate)
        await gate.wait()
        scope[NOTE] = self._note
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def let_go(self, number: int = -1) -> None:
        self._gates[number].set()

    def ask(self, wanted: int = 0) -> "asyncio.Task[bytes]":
        return asyncio.create_task(self._ask(wanted))

    async def _ask(self, wanted: int) -> bytes:
        headers = [(b"event-position", b"%d" % wanted)]
        scope = {"type": "http", "method": "GET", "raw_path": PATH, "query_string": b"", "headers": headers}
        bodies: list[bytes] = []

        async def send(message: Message) -> None:
            bodies.append(message.get("body", b""))

        async def receive() -> Any:
            raise AssertionError

        await self.app(scope, receive, send)
        return b"".join(bodies)

    async def are_reading(self, count: int) -> None:
        async def are() -> bool:
            return self.reads == count

        await wait_until(are, f"{count} reads")
        for _ in range(5):
            await asyncio.sleep(0)


@asynccontextmanager
async def one_under_way(reading: Reading) -> AsyncIterator["asyncio.Task[bytes]"]:
    """Have an answer known as one to share, and the next being read."""
    first = reading.ask()
    await reading.are_reading(1)
    reading.let_go()
    await first
    second = reading.ask()
    await reading.are_reading(2)
    yield second


async def test_who_comes_while_an_answer_is_read_shares_the_next() -> None:
    reading = Reading()
    async with one_under_way(reading) as second:
        others = [reading.ask() for _ in range(5)]
        await reading.are_reading(2)
        reading.let_go()
        assert await second == b"2"
        await reading.are_reading(3)
        reading.let_go()
        assert await asyncio.gather(*others) == [b"3"] * 5
    assert reading.reads == 3


async def test_who_gives_up_holds_nobody_up() -> None:
    reading = Reading()
    async with one_under_way(reading) as second:
        third, fourth = reading.ask(), reading.ask()
        await reading.are_reading(2)
        second.cancel()
        await reading.are_reading(4)
        reading.let_go(2)
        reading.let_go(3)
        assert {await third, await fourth} == {b"3", b"4"}


async def test_who_is_given_the_turn_and_gives_up_hands_it_on() -> None:
    shared, answer = SharedAnswers(), Answer("thing", ("things",), Position(7), "", b"", ())
    shared.end(PATH, None, answer)
    turn = await shared.take_turn(PATH)
    assert isinstance(turn, Turn)
    first, second = (asyncio.create_task(shared.take_turn(PATH)) for _ in range(2))
    await asyncio.sleep(0)
    shared.end(PATH, turn, answer)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    async with asyncio.timeout(5):
        assert await second is None


async def test_what_depends_on_who_asks_is_not_shared() -> None:
    reading = Reading(KEPT._replace(can_be_kept=False))
    async with one_under_way(reading) as second:
        third = reading.ask()
        await reading.are_reading(3)
        reading.let_go(1)
        reading.let_go(2)
        assert (await second, await third) == (b"2", b"3")


async def test_who_has_to_wait_for_a_position_waits_alone() -> None:
    reading = Reading()
    async with one_under_way(reading) as second:
        behind = reading.ask(wanted=8)
        await reading.are_reading(3)
        reading.let_go(1)
        reading.let_go(2)
        assert (await second, await behind) == (b"2", b"3")


async def test_nobody_is_given_an_answer_older_than_wanted() -> None:
    """What was reached may be gone: a read model can be restored (I9)."""
    reading = Reading(KEPT._replace(position=Position(5)))
    async with one_under_way(reading) as second:
        third, fourth = reading.ask(wanted=5), reading.ask(wanted=7)
        await reading.are_reading(2)
        reading.let_go()
        await second
        await reading.are_reading(3)
        reading.let_go()
        assert await third == b"3"
        await reading.are_reading(4)
        reading.let_go()
        assert await fourth == b"4"
