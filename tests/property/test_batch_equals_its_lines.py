"""A bulk request does what its lines do that are sent one by one, whatever they are. I6, I7."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER, command_service
from tests.support.databases import connected
from tests.support.http import events
from tests.support.replay import assert_log_is_sound

ORDERS_AT_MOST = 2
Answer = tuple[int, Any, bool]
"""Status, body, and whether it is of an earlier request with the same key."""


@dataclass(frozen=True, slots=True)
class Line:
    """One command, about one of two orders or one whose id the service makes; or what only looks like one."""

    verb: str
    order: int
    key: int | None = None
    expected: int | None = None


COMMANDS = {
    "place": ("PlaceOrder", ORDER),
    "place any": ("PlaceOrder", ORDER),
    "confirm": ("ConfirmOrder", {}),
    "ship": ("ShipOrder", {"carrier": "Yamato"}),
    "cancel": ("CancelOrder", {"reason": "late"}),
    "no items": ("PlaceOrder", {**ORDER, "items": []}),
    "colour": ("ConfirmOrder", {"colour": "red"}),
    "unknown": ("SendFlowers", {}),
}
ON_A_LINE_ONLY = {"unknown", "no JSON"}

lines = st.builds(
    Line,
    st.sampled_from(["place", "confirm", "ship", "cancel", "place", "confirm", *COMMANDS, "no JSON"]),
    st.integers(0, ORDERS_AT_MOST - 1),
    st.sampled_from([None, None, None, 0, 1]),
    st.sampled_from([None, None, None, 0, 1, 2]),
)
some_lines = st.lists(lines, max_size=3)
many_lines = st.lists(lines, min_size=4, max_size=16)


@dataclass(slots=True)
class Run:
    """Orders and keys of its own, for the same lines as another run's."""

    http: httpx.AsyncClient
    orders: list[str] = field(default_factory=lambda: [str(uuid4()) for _ in range(ORDERS_AT_MOST)])
    name: str = field(default_factory=lambda: str(uuid4()))

    async def in_one_request(self, lines: Sequence[Line]) -> list[Answer]:
        body = "".join(self._text(line) + "\n" for line in lines)
        answer = await self.http.post("/orders/batch", content=body, headers={"Content-Type": "application/x-ndjson"})
        assert answer.status_code == 200, answer.text
        told = [json.loads(line) for line in answer.text.splitlines()]
        return [(one["status"], self._same(one["body"]), "replayed" in one) for one in told]

    async def one_by_one(self, lines: Sequence[Line], other: httpx.AsyncClient | None = None) -> list[Answer]:
        return [await self._by_itself(line, other or self.http) for line in lines]

    async def _by_itself(self, line: Line, http: httpx.AsyncClient) -> Answer:
        if line.verb in ON_A_LINE_ONLY:
            (told,) = await self.in_one_request([line])
            return told
        name, members = COMMANDS[line.verb]
        path = "" if name == "PlaceOrder" else f"/{self.orders[line.order]}/{line.verb.replace('colour', 'confirm')}"
        body = {**members, **({"order_id": self.orders[line.order]} if line.verb in {"place", "no items"} else {})}
        headers = {}
        if line.key is not None:
            headers["Idempotency-Key"] = f"{self.name}-{line.key}"
        if line.expected is not None:
            headers["If-Match"] = f'"{line.expected}"'
        answer = await http.post(f"/orders{path}", json=body, headers=headers)
        return answer.status_code, self._same(answer.json()), "Idempotency-Replayed" in answer.headers

    def _text(self, line: Line) -> str:
        if line.verb == "no JSON":
            return "{"
        name, members = COMMANDS[line.verb]
        order = {} if line.verb == "place any" else {"order_id": self.orders[line.order]}
        key = {} if line.key is None else {"key": f"{self.name}-{line.key}"}
        expected = {} if line.expected is None else {"expected_version": line.expected}
        return json.dumps({"command": name, **order, **members, **key, **expected})

    def _same(self, body: dict[str, Any]) -> dict[str, Any]:
        """Leave out what differs from run to run."""
        known = {name: value for name, value in body.items() if name not in {"position", "instance"}}
        if "order_id" in known:
            known["order_id"] = self.number(known["order_id"])
        return known

    def number(self, order_id: str) -> int | None:
        return self.orders.index(order_id) if order_id in self.orders else None

    def logged(self, new: Sequence[Any]) -> list[Any]:
        """Give what the log has of this run, by order."""
        found = [
            (str(self.number(str(one.aggregate_id))), one.version, one.event_type, one.event_data, one.metadata.keys())
            for one in new
        ]
        return sorted(found, key=str)


class World:
    """Command services on one database: two alike, and one that carries few lines out at once."""

    def __init__(self, engine: AsyncEngine, services: Sequence[httpx.AsyncClient]) -> None:
        self.engine = engine
        self.service, self.other, self.narrow = services

    async def holds(self, known: Sequence[Line], stale: Sequence[Line], lines: Sequence[Line], narrow: bool) -> None:  # noqa: FBT001 - drawn
        """Compare both ways, on orders that the service knows, and that have changed elsewhere since."""
        http = self.narrow if narrow else self.service
        together, apart = Run(http), Run(http)
        answers, logged = [], []
        for run, send in ((together, together.in_one_request), (apart, apart.one_by_one)):
            before = len(await events(self.engine))
            await run.one_by_one(known)
            await run.one_by_one(stale, self.other)
            answers.append(await send(lines))
            logged.append(run.logged((await events(self.engine))[before:]))
        assert answers[0] == answers[1]
        assert logged[0] == logged[1]
        await assert_log_is_sound(self.engine)


def test_a_batch_equals_its_lines(database: str) -> None:
    async def start(stack: AsyncExitStack) -> World:
        engine = await stack.enter_async_context(connected(database))
        few: dict[str, Any] = {"queue_commits": 8, "bulk_requests": 1}
        services = [await stack.enter_async_context(command_service(database, **one)) for one in ({}, {}, few)]
        return World(engine, services)

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        world = runner.run(start(stack))
        try:

            @settings(deadline=None, max_examples=20, phases=[Phase.generate])
            @given(some_lines, some_lines, many_lines, st.booleans())
            def holds(known: list[Line], stale: list[Line], lines: list[Line], narrow: bool) -> None:  # noqa: FBT001
                runner.run(world.holds(known, stale, lines, narrow))

            holds()
        finally:
            runner.run(stack.aclose())
