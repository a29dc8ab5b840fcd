"""Sends an event stream to its client for as long as it takes it."""

import asyncio
import logging
from typing import Any

from fastapi.sse import EventSourceResponse
from starlette.types import Receive, Scope, Send

from query_service.event_stream import EventStream

_logger = logging.getLogger(__name__)

_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""No cache keeps it, and no proxy collects it (nginx)."""


class EventStreamResponse(EventSourceResponse):
    """Ends when the client leaves or the service stops; a client that takes no piece for `stall` seconds is cut off.

    FastAPI's own streaming writes each event anew for each client and waits for a slow one for ever; so the pieces come
    written, and are sent here.
    """

    def __init__(self, stream: EventStream, stall: float) -> None:
        super().__init__((), headers=_HEADERS)
        self._stream = stream
        self._stall = stall

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send until either side ends it."""
        sending = asyncio.create_task(self.stream_response(send))
        leaving = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            async with self._stream.sending():
                await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await sending
        except TimeoutError:
            _logger.info("a client of the event stream is cut off at position %d", self._stream.cursor)
            if not _abort(receive):
                raise
            await leaving
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def stream_response(self, send: Send) -> None:
        """Send piece by piece; raises `TimeoutError` if the client does not take one in time."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while (piece := await self._stream.next()) is not None:
            async with asyncio.timeout(self._stall):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _abort(receive: Receive) -> bool:
    """Cut the connection; tell whether the server let it.

    ASGI has no word for it, and a connection that uvicorn closes stays until the client has taken what is on its way.
    """
    transport: Any = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        return False
    transport.abort()
    return True
