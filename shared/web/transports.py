"""What stands between uvicorn and the transport of a connection."""

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl


class JoinedWrites:
    """Stands for the transport to what answers one request: the head and the start of the body go out in one write.

    The head is held until the body follows, or the event loop turns: the head of a stream must not wait. A write takes a
    tenth of a command's time, and uvicorn makes two.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self._is_begun = False

    def write(self, data: bytes) -> None:
        """Hold the first that is written; write the next together with it, and then whatever comes."""
        if self._is_begun:
            self._transport.write(self._held + data)
            self._held = b""
        else:
            self._is_begun = True
            self._held = data
            self._loop.call_soon(self.flush)

    def close(self) -> None:
        """Close the transport behind all that was written."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Cut the connection, whatever is held or on its way."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Tell whether the transport is closing."""
        return self._transport.is_closing()

    def flush(self) -> None:
        """Write what is held."""
        if self._held and not self._transport.is_closing():
            self._transport.write(self._held)
        self._held = b""


class TimedFlow(FlowControl):
    """Tells for how many seconds nothing was read, once it is again."""

    def __init__(
        self, transport: asyncio.Transport, now: Callable[[], float], resumed: Callable[[float], None]
    ) -> None:
        super().__init__(transport)
        self._now = now
        self._resumed = resumed
        self._since = 0.0

    def pause_reading(self) -> None:
        """Read no more for now."""
        if not self.read_paused:
            self._since = self._now()
        super().pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self.read_paused:
            self._resumed(self._now() - self._since)
        super().resume_reading()
