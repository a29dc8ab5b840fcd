"""Clients that place, confirm, ship, cancel and read, and write down every request and its answer."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from tests.faults.history import (
    Acknowledged,
    Command,
    History,
    Kind,
    OrderRead,
    Outcome,
    StatisticsRead,
    Try,
)

CLIENTS = 24
TIMEOUT = aiohttp.ClientTimeout(total=5.0)
_MOST_TRIES = 40
_NOT_DONE = {"urn:daicho:problem:overloaded", "urn:daicho:problem:unavailable"}
"""The problems of status 503 that say that nothing was done."""
_NEXT: Mapping[str, Sequence[Kind]] = {
    "pending": ("confirm", "confirm", "cancel"),
    "confirmed": ("ship", "ship", "cancel"),
}
_KINDS: Sequence[Kind] = ("confirm", "ship", "cancel")


@dataclass(frozen=True, slots=True)
class Service:
    """Where a service is."""

    name: str
    url: str


@dataclass(slots=True)
class Knowledge:
    """What a client was told: by order, its version and status; and the highest position."""

    orders: dict[UUID, tuple[int, str]] = field(default_factory=dict)
    position: int = 0

    def learn(self, told: Acknowledged) -> None:
        self.position = max(self.position, told.position)
        if told.version > self.orders.get(told.order_id, (0, ""))[0]:
            self.orders[told.order_id] = (told.version, told.status)


class Client:
    """One client: one request after the other. `shared` are the orders that all clients may act on."""

    def __init__(
        self,
        number: int,
        seed: int,
        history: History,
        shared: list[UUID],
        http: aiohttp.ClientSession,
        services: Mapping[str, Sequence[Service]],
    ) -> None:
        self._number = number
        self._randomness = random.Random(f"{seed}/{number}")
        self._history = history
        self._shared = shared
        self._http = http
        self._services = services
        self._knowledge = Knowledge()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        while not stop.is_set():
            command = self._command()
            await self._carry_out(command, stop)
            if self._randomness.random() < 0.4:
                await self._read_order(command.order_id)
            elif self._randomness.random() < 0.2:
                await self._read_statistics()
            await self._pause(0.01, 0.05)

    async def place(self, service: Service) -> Command:
        """Place an order there, once."""
        command = self._place()
        self._history.commands.append(command)
        await self._try(command, service)
        return command

    def _command(self) -> Command:
        order_id, kind = self._choice()
        if order_id is None or kind is None:
            command = self._place()
        else:
            body = {
                "confirm": {},
                "ship": {"carrier": "Yamato", "tracking_number": str(self._number)},
                "cancel": {"reason": f"client {self._number} changed its mind"},
            }[kind]
            command = Command(str(uuid4()), self._number, kind, order_id, body)
            known = self._knowledge.orders.get(order_id)
            if known is not None and self._randomness.random() < 0.3:
                command.expected_version = known[0]
        if self._randomness.random() < 0.6:
            command.key = command.id
        self._history.commands.append(command)
        return command

    def _choice(self) -> tuple[UUID | None, Kind | None]:
        """Choose an order, mostly one of the client's own, and what to do to it, mostly what is next."""
        chance = self._randomness.random()
        own = list(self._knowledge.orders)[-20:]
        if chance < 0.35 or not own:
            return None, None
        order_id = self._randomness.choice(self._shared[-50:] if chance > 0.8 else own)
        status = self._knowledge.orders.get(order_id, (0, ""))[1]
        if self._randomness.random() < 0.8:
            return order_id, self._randomness.choice(_NEXT[status]) if status in _NEXT else None
        return order_id, self._randomness.choice(_KINDS)

    def _place(self) -> Command:
        name, price = str(uuid4()), f"{self._randomness.randint(1, 99999) / 100:.2f}"
        item = {"product_name": "Sencha", "quantity": self._randomness.randint(1, 9), "unit_price": price}
        body: dict[str, Any] = {"customer_name": f"Aiko {name}", "items": [item]}
        order_id = uuid4() if self._randomness.random() < 0.3 else None
        if order_id is not None:
            body["order_id"] = str(order_id)
        return Command(name, self._number, "place", order_id, body)

    async def _carry_out(self, command: Command, stop: asyncio.Event) -> None:
        """Send it until its outcome is known, where that is safe; and now and then, with its key, once more."""
        again = command.key is not None and self._randomness.random() < 0.15
        while not stop.is_set() and len(command.tries) < _MOST_TRIES:
            last = await self._try(command, self._any("command"))
            if last.outcome == Outcome.DONE or last.told.startswith("4"):
                if not again:
                    return
                again = False
            elif last.outcome == Outcome.UNKNOWN and command.key is None:
                return
            await self._pause(0.05, 0.3)

    async def _try(self, command: Command, service: Service) -> Try:
        started = self._history.now()
        told: Acknowledged | None = None
        try:
            outcome, words, told = await self._send(command, service)
        except aiohttp.ClientConnectorError:
            outcome, words = Outcome.REFUSED, "no connection"
        except (aiohttp.ClientError, TimeoutError) as error:
            outcome, words = Outcome.UNKNOWN, f"lost: {type(error).__name__}"
        done = Try(service.name, started, self._history.now(), outcome, words)
        command.tries.append(done)
        if told is not None:
            command.acknowledged.append(told)
            command.order_id = told.order_id
            self._knowledge.learn(told)
            if command.kind == "place":
                self._shared.append(told.order_id)
        return done

    async def _send(self, command: Command, service: Service) -> tuple[Outcome, str, Acknowledged | None]:
        path = "/orders" if command.kind == "place" else f"/orders/{command.order_id}/{command.kind}"
        headers = {"X-Correlation-ID": command.id}
        if command.key is not None:
            headers["Idempotency-Key"] = command.key
        if command.expected_version is not None:
            headers["If-Match"] = f'"{command.expected_version}"'
        async with self._http.post(f"{service.url}{path}", json=command.body, headers=headers) as answer:
            content = await answer.json(content_type=None)
        if answer.status < 300:
            told = Acknowledged(UUID(content["order_id"]), content["status"], content["version"], content["position"])
            return Outcome.DONE, str(answer.status), told
        slug = content["type"]
        refused = answer.status < 500 or slug in _NOT_DONE
        return Outcome.REFUSED if refused else Outcome.UNKNOWN, f"{answer.status} {slug.split(':')[-1]}", None

    async def _read_order(self, order_id: UUID | None) -> None:
        if order_id is None:
            return
        service, wanted = self._any("query"), self._knowledge.position
        known, at = self._knowledge.orders.get(order_id, (0, ""))[0], self._history.now()
        found = await self._get(service, f"/orders/{order_id}", wanted)
        if found is None or found[0] not in {200, 404}:
            return
        code, position, content = found
        version, status = (content["version"], content["status"]) if code == 200 else (0, None)
        self._history.reads.append(
            OrderRead(self._number, service.name, at, order_id, wanted, known, code, position, version, status)
        )

    async def _read_statistics(self) -> None:
        service, wanted, at = self._any("query"), self._knowledge.position, self._history.now()
        found = await self._get(service, "/statistics", wanted)
        if found is not None and found[0] == 200:
            total = found[2]["total_count"]
            self._history.statistics.append(StatisticsRead(self._number, service.name, at, wanted, found[1], total))

    async def _get(self, service: Service, path: str, wanted: int) -> tuple[int, int, Any] | None:
        headers = {"Event-Position": str(wanted), "Prefer": "wait=1"}
        try:
            async with self._http.get(f"{service.url}{path}", headers=headers) as answer:
                content = await answer.json(content_type=None)
                if answer.status == 500:
                    self._history.broken_reads.append((self._history.now(), f"{service.name} {path}"))
                return answer.status, int(answer.headers.get("Event-Position", 0)), content
        except (aiohttp.ClientError, TimeoutError):
            return None  # A read that was not answered says nothing.

    def _any(self, kind: str) -> Service:
        return self._randomness.choice(self._services[kind])

    async def _pause(self, least: float, most: float) -> None:
        await asyncio.sleep(self._randomness.uniform(least, most))


@asynccontextmanager
async def sessions() -> AsyncIterator[aiohttp.ClientSession]:
    """Give what clients send with; connections are as many as it takes."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=TIMEOUT) as http:
        yield http
