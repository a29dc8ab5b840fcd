"""Headers on every answer: the correlation id, and what tells browsers what not to do with it."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.logs import correlation
from shared.web.correlation import RAW_HEADER as CORRELATION_HEADER
from shared.web.correlation import correlation_id

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""What an answer has unless it has its own: pages say themselves what they load, and what may be kept says so."""

RAW_HEADERS: Final = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class AnswerHeaders:
    """ASGI middleware: they, and the correlation id, which the request's state has as `correlation_id`, and its logs have."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = correlation_id(scope)
        scope.setdefault("state", {})["correlation_id"] = given

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                names = {name for name, _ in headers}
                own = [header for header in RAW_HEADERS if header[0] not in names]
                message["headers"] = [*headers, *own, (CORRELATION_HEADER, given.encode())]
            await send(message)

        # Not taken back: what nobody foresaw is logged further out, and each request has a context of its own.
        correlation.set(given)
        await self._app(scope, receive, send_with_headers)
