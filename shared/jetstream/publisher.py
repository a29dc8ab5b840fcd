"""Publishes windows of events and takes their answers.

nats-py's own `publish_async` does not do: what the server refuses, it never answers (2.16: `APIError.from_error` raises
where its caller wants the error given).
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.event_log.events import RecordedEvent
from shared.jetstream.connection import translate_errors
from shared.jetstream.errors import StreamUnavailable
from shared.jetstream.message import encode, headers, subject

_SILENCE_SECONDS = 2.0
"""How long no answer may come before those that are missing are given up."""


_AT_ONCE = 100


@dataclass(slots=True)
class Window:
    """Events that were published together, and how many of them are not yet known to be in the stream."""

    left: int
    settled: asyncio.Event = field(default_factory=asyncio.Event)


class Publisher:
    """Publishes over a client; answers come to one subject, and their last token is the position. Of use until one fails."""

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self._stream = stream
        self._inbox = client.new_inbox()
        self._windows: dict[str, Window] = {}
        self._refusal: str | None = None

    async def listen(self) -> None:
        """Begin to take answers. Raises `StreamUnavailable`."""
        with translate_errors():
            await self._client.subscribe(f"{self._inbox}.*", cb=self._take)

    async def publish(self, events: Sequence[RecordedEvent]) -> Window:
        """Send events, each to be taken as the next one only. Raises `StreamUnavailable` and `StreamUnfit`."""
        window = Window(len(events))
        with translate_errors():
            for number, event in enumerate(events, 1):
                self._windows[str(event.position)] = window
                await self._client.publish(
                    subject(event.stream),
                    encode(event),
                    reply=f"{self._inbox}.{event.position}",
                    headers=headers(event, self._stream),
                )
                if number % _AT_ONCE == 0:
                    # Let the client send it.
                    await asyncio.sleep(0)
        return window

    async def settle(self, window: Window) -> None:
        """Return when a window is in the stream, each event at its position. Raises `StreamUnavailable`."""
        while window.left and self._refusal is None:
            left = window.left
            try:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    await window.settled.wait()
            except TimeoutError:
                if window.left == left:
                    raise StreamUnavailable("the stream does not answer") from None
        if self._refusal is not None:
            raise StreamUnavailable(f"the stream refused an event: {self._refusal}")

    async def _take(self, message: Msg) -> None:
        position = message.subject.rpartition(".")[2]
        window = self._windows.get(position)
        if window is None:
            return
        # As servers write it, which spares to parse it; what is written otherwise is parsed.
        taken = b'{"stream":"%b", "seq":%b}' % (self._stream.encode(), position.encode())
        if message.data != taken and (refusal := _refusal(message, position)) is not None:
            self._refusal = refusal
            for one in self._windows.values():
                one.settled.set()
            return
        del self._windows[position]
        window.left -= 1
        if not window.left:
            window.settled.set()


def _refusal(message: Msg, position: str) -> str | None:
    """Give why an event was refused; None if it is where it should be."""
    if message.headers is not None and "Status" in message.headers:
        return "it has no leader"
    answer = json.loads(message.data)
    if "error" in answer:
        return str(answer["error"].get("description", answer["error"]))
    return None if str(answer["seq"]) == position else f"it has the event at {answer['seq']}"
