"""Any sequence of commands, alone and at once, keeps the invariants I1–I8."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service import checkpoints
from query_service.orders.aggregate import ORDERS
from shared.event_log.events import Position
from shared.event_log.reader import PostgresEventLog
from tests.support.apps import ORDER, command_service
from tests.support.databases import connected
from tests.support.http import events
from tests.support.projecting import Projecting
from tests.support.replay import assert_log_is_sound, assert_read_models_equal_a_replay

ORDERS_AT_MOST = 3


@dataclass(frozen=True, slots=True)
class Command:
    """One request about one of three orders; `key` and `expected` are its Idempotency-Key and If-Match."""

    verb: str
    order: int
    key: int | None = None
    expected: int | None = None


commands = st.builds(
    Command,
    st.sampled_from(["place", "place", "confirm", "confirm", "ship", "cancel", "nonsense"]),
    st.integers(0, ORDERS_AT_MOST - 1),
    st.none() | st.integers(0, 3),
    st.none() | st.integers(0, 4),
)
groups = st.lists(st.lists(commands, min_size=1, max_size=4), max_size=10)
"""Groups one after the other; the commands of a group at once."""


@dataclass(slots=True)
class Run:
    """One sequence of commands, on orders and with keys of its own, and what became of each."""

    http: httpx.AsyncClient
    orders: list[UUID] = field(default_factory=lambda: [uuid4() for _ in range(ORDERS_AT_MOST)])
    name: str = field(default_factory=lambda: str(uuid4()))
    answers: list[tuple[Command, httpx.Response]] = field(default_factory=list)

    async def send(self, command: Command) -> None:
        order_id = str(self.orders[command.order])
        path, body = {
            "place": ("/orders", {**ORDER, "order_id": order_id}),
            "cancel": (f"/orders/{order_id}/cancel", {"reason": "late"}),
            "nonsense": ("/orders", {**ORDER, "order_id": order_id, "items": []}),
        }.get(command.verb, (f"/orders/{order_id}/{command.verb}", {}))
        headers = {}
        if command.key is not None:
            headers["Idempotency-Key"] = f"{self.name}-{command.key}"
        if command.expected is not None:
            headers["If-Match"] = f'"{command.expected}"'
        answer = await self.http.post(path, json=body, headers=headers)
        assert answer.status_code in {200, 201, 404, 409, 412, 422}, answer.text
        self.answers.append((command, answer))


class World:
    """The command service on a database, and a projector that moves when told."""

    def __init__(self, http: httpx.AsyncClient, engine: AsyncEngine, read_engine: AsyncEngine) -> None:
        self.http = http
        self.engine = engine
        self.log = PostgresEventLog(engine)
        self.read_engine = read_engine
        self.projecting = Projecting(engine, read_engine, batch=7)

    async def holds(self, groups: Sequence[Sequence[Command]]) -> None:
        before = await events(self.engine)
        run = Run(self.http)
        for group in groups:
            await asyncio.gather(*(run.send(command) for command in group))
        after = await events(self.engine)
        assert after[: len(before)] == before, "I8: a row was changed or removed"
        await assert_log_is_sound(self.engine)  # I2, I3
        self._check_answers(run, after[len(before) :])
        assert await self._followed(len(before)) == [event.position for event in after[len(before) :]]  # I4
        await self.projecting.drain()
        await assert_read_models_equal_a_replay(self.engine)  # I5

    def _check_answers(self, run: Run, new: list[Any]) -> None:
        done = [(command, answer) for command, answer in run.answers if answer.is_success]
        first = [answer.json() for _, answer in done if "Idempotency-Replayed" not in answer.headers]
        logged = {event.position: (str(event.aggregate_id), event.version) for event in new}
        told = {content["position"]: (content["order_id"], content["version"]) for content in first}
        assert len(told) == len(first), "I1: one event was acknowledged twice"
        assert told == logged, "I1, I6: an acknowledged command is missing, or a refused one took effect"
        by_key = Counter(command.key for command, answer in done if "Idempotency-Replayed" not in answer.headers)
        assert all(count == 1 for key, count in by_key.items() if key is not None), "I7: a key took effect twice"
        for command, answer in done:
            if command.key is not None:
                same = {a.text for c, a in done if c.key == command.key}
                assert same == {answer.text}, "I7: one key has two answers"

    async def _followed(self, after: int) -> list[int]:
        """Follow the log as a reader with a checkpoint does."""
        seen: list[int] = []
        while page := await self.log.read_all(Position(seen[-1] if seen else after), 3):
            seen += [event.position for event in page]
        return seen


def test_any_commands(database: str) -> None:
    async def start(stack: AsyncExitStack) -> World:
        engine = await stack.enter_async_context(connected(database))
        read_engine = await stack.enter_async_context(connected(database, 1, autocommit=False))
        async with read_engine.begin() as connection:
            await checkpoints.register(connection, ORDERS.projections)
        http = await stack.enter_async_context(command_service(database))
        return World(http, engine, read_engine)

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        world = runner.run(start(stack))
        try:

            @settings(deadline=None, max_examples=50)
            @given(groups)
            def holds(groups: list[list[Command]]) -> None:
                runner.run(world.holds(groups))

            holds()
        finally:
            runner.run(stack.aclose())
