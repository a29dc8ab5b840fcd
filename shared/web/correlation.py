"""The correlation id: taken from the request or made, echoed on every answer."""

import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.ids import new_id_text

HEADER = "X-Correlation-ID"
VISIBLE_ASCII = re.compile(r"[\x21-\x7e]{1,255}")

_RAW_HEADER = HEADER.lower().encode()


class CorrelationMiddleware:
    """Puts `correlation_id` into the request's state and onto its answer.

    An id that is not 1–255 visible ASCII characters is replaced, not echoed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = correlation_id(scope)
        scope.setdefault("state", {})["correlation_id"] = given

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = given
            await send(message)

        await self._app(scope, receive, send_with_id)


def correlation_id(scope: Scope) -> str:
    """Give the id that a request brings, or a new one."""
    for name, value in scope["headers"]:
        if name == _RAW_HEADER:
            text: str = value.decode("latin-1")
            return text if VISIBLE_ASCII.fullmatch(text) else new_id_text()
    return new_id_text()
