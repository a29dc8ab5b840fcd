"""Admission: so many requests are worked on at once; one more is refused at once, before anything is spent on it."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import DaichoError, OutcomeUnknown, Overloaded
from shared.web.problem_answers import MEDIA_TYPE, RETRY_AFTER
from shared.web.problems import SHARED_PROBLEMS, Explanation

ALWAYS_ANSWERED = ("/health/live", "/health/ready", "/metrics")
"""What must be answered above all when there is too much else."""


BODY_BYTES = 64 * 1024 * 1024
_SMALL = 65_536
"""Bytes that the body of any request may have: as much as the server holds of it anyway."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a service takes on: requests and connections at once, and seconds for its clients.

    `body_bytes`: of all bodies that are here at once, without the first 64 KiB of each.

    `receive_seconds`: in which a request must have come whole; `send_seconds`: in which a client must take 64 KiB of
    what waits for it.
    """

    requests: int = 256
    connections: int = 4096
    receive_seconds: float = 10.0
    send_seconds: float = 30.0
    body_bytes: int = BODY_BYTES


class Admission:
    """Counts the requests that are worked on.

    `aside` is how many are here besides: they wait for something else than this process, or are always answered.
    `idle` has the connections on which nothing is going on, longest first.
    """

    def __init__(self, bounds: Bounds | None = None, uncounted: Sequence[str] = ()) -> None:
        self.bounds = bounds or Bounds()
        self.in_flight = 0
        self.aside = 0
        self.shed = 0
        self.body_bytes = 0
        self.idle: dict[Any, None] = {}
        self.is_stopping = False
        self._is_closed = False
        self._uncounted = frozenset((*ALWAYS_ANSWERED, *uncounted))

    def counts(self, path: str) -> bool:
        """Tell whether requests of this path are counted, and refused when there are too many."""
        return path not in self._uncounted

    def refuses(self, in_flight: int) -> bool:
        """Tell whether another request would be one too many."""
        return in_flight >= self.bounds.requests or self._is_closed

    def refusal(self, path: str) -> bytes:
        """Count a request as refused, and give the problem that it is told."""
        return _problem(self.overloaded("Too many requests are being worked on."), path)

    def overloaded(self, why: str) -> Overloaded:
        """Count a request as refused, and give what it is told."""
        self.shed += 1
        return Overloaded("The service is stopping." if self._is_closed else why)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While this lasts, the request that this is called for gives its place to another."""
        self.in_flight -= 1
        self.aside += 1
        try:
            yield
        finally:
            self.aside -= 1
            self.in_flight += 1

    def stop(self) -> None:
        """Have clients and proxies go elsewhere: the service is not ready from now on, and each answer ends its connection."""
        self.is_stopping = True

    def close(self) -> None:
        """Refuse whatever comes now."""
        self.is_stopping = self._is_closed = True

    async def check(self) -> None:
        """Raise `Overloaded` if the service has been told to end."""
        if self.is_stopping:
            raise Overloaded("It is stopping.")


class AdmissionMiddleware:
    """ASGI middleware: counts requests, and refuses those that the server has not refused already."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        admission = self._admission
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_counted = admission.counts(scope["path"])
        if is_counted and admission.refuses(admission.in_flight):
            await _refuse(admission.refusal(scope["path"]), send)
            return
        exchange = _Exchange(admission, scope, receive, send)
        # What has no body to come gets the server's own, by which an event stream can cut its connection.
        receiving = receive if exchange.has_come else exchange.receive
        admission.in_flight += 1
        try:
            if is_counted:
                await self._app(scope, receiving, exchange.send)
            else:
                with admission.waiting():
                    await self._app(scope, receiving, exchange.send)
        except asyncio.CancelledError:
            if exchange.is_answered:
                raise
            await _refuse(exchange.given_up(), send)
        finally:
            admission.in_flight -= 1
            admission.body_bytes -= exchange.body_bytes


class _Exchange:
    """A request that is worked on: how much of it has come, and whether its answer has begun.

    While its body is on its way, nothing is worked on: slow clients take no place. Once it has come, there has to be one.
    """

    def __init__(self, admission: Admission, scope: Scope, receive: Receive, send: Send) -> None:
        self._admission = admission
        self._path = scope["path"]
        self._changes = scope["method"] == "POST"
        self.has_come = not (self._changes and admission.counts(self._path))
        self._receive = receive
        self._send = send
        self._size = 0
        self.is_answered = False

    @property
    def body_bytes(self) -> int:
        """How much of the body counts."""
        return max(0, self._size - _SMALL)

    async def receive(self) -> Message:
        """Receive a part of the body. Raises `Overloaded` if there is no room for it, or none to work on it."""
        if self.has_come:
            return await self._receive()
        admission = self._admission
        with admission.waiting():
            message = await self._receive()
        before = self.body_bytes
        self._size += len(message.get("body", b""))
        admission.body_bytes += self.body_bytes - before
        self.has_come = not message.get("more_body", False)
        if self.body_bytes and admission.body_bytes > admission.bounds.body_bytes:
            raise admission.overloaded("Too many large bodies have come at once.")
        if self.has_come and admission.refuses(admission.in_flight - 1):
            raise admission.overloaded("Too many requests are being worked on.")
        return message

    async def send(self, message: Message) -> None:
        """Send on."""
        self.is_answered = True
        await self._send(message)

    def given_up(self) -> bytes:
        """Give the problem of a request that the server ends before it is answered."""
        if self._changes and self.has_come:
            return _problem(OutcomeUnknown(), self._path)
        return _problem(Overloaded("The service has stopped before it was done."), self._path)


def _problem(error: DaichoError, path: str) -> bytes:
    explanation = Explanation(SHARED_PROBLEMS[type(error)], str(error), {})
    return json.dumps(explanation.content(quote(path))).encode()


async def _refuse(problem: bytes, send: Send) -> None:
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(problem)),
        (b"retry-after", RETRY_AFTER.encode()),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": problem})
