"""A read is answered in time, or told that it is not: one deadline for all that it waits for."""

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from query_service.read_your_writes import wait_seconds
from shared.errors import Overloaded
from shared.web.problem_answers import problem_response
from shared.web.problems import SHARED_PROBLEMS, Explanation

_WITHOUT_END = "/events/stream"


class ReadDeadline:
    """ASGI middleware in front of the routes: what a read waits for is given up when its time is over.

    A read that names a position may wait for that besides, for as long as it wants to.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] == _WITHOUT_END:
            await self._app(scope, receive, send)
            return
        is_answered = False

        async def send_on(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        try:
            async with asyncio.timeout(self._seconds + _waits(scope)):
                await self._app(scope, receive, send_on)
        except TimeoutError:
            if is_answered:
                raise
            told = Explanation(SHARED_PROBLEMS[Overloaded], "It could not be read in time.", {})
            await problem_response(Request(scope), told)(scope, receive, send)


def _waits(scope: Scope) -> float:
    names = [name for name, _ in scope["headers"]]
    if b"event-position" not in names and b"min_position" not in scope["query_string"]:
        return 0.0
    return wait_seconds(value.decode("latin-1") for name, value in scope["headers"] if name == b"prefer")
