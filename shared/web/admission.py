"""Admission: so many requests are worked on at once; one more is refused at once, before anything is spent on it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import Overloaded
from shared.web.problem_answers import MEDIA_TYPE, RETRY_AFTER
from shared.web.problems import SHARED_PROBLEMS, Explanation

ALWAYS_ANSWERED = ("/health/live", "/health/ready", "/metrics")
"""What must be answered above all when there is too much else."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a service takes on: requests and connections at once, and seconds for its clients.

    `receive_seconds`: in which a request must have come whole; `send_seconds`: in which a client must take 64 KiB of
    what waits for it.
    """

    requests: int = 256
    connections: int = 4096
    receive_seconds: float = 10.0
    send_seconds: float = 30.0


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
        self.shed += 1
        why = "The service is stopping." if self._is_closed else "Too many requests are being worked on."
        return json.dumps(Explanation(SHARED_PROBLEMS[Overloaded], why, {}).content(quote(path))).encode()

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
        admission.in_flight += 1
        try:
            if not is_counted:
                with admission.waiting():
                    await self._app(scope, receive, send)
            elif scope["method"] == "POST":
                await self._app(scope, _aside(admission, receive), send)
            else:
                await self._app(scope, receive, send)
        finally:
            admission.in_flight -= 1


def _aside(admission: Admission, receive: Receive) -> Receive:
    """While a request's body is on its way, nothing is worked on: slow clients take no place."""

    async def receive_aside() -> Message:
        with admission.waiting():
            return await receive()

    return receive_aside


async def _refuse(problem: bytes, send: Send) -> None:
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(problem)),
        (b"retry-after", RETRY_AFTER.encode()),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": problem})
