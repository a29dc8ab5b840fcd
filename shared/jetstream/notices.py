"""Hints that the stream has grown, which the relay sends as it has: as NOTIFY for the log's table."""

import asyncio
import logging
from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.backoff import backoff
from shared.event_log.events import Position
from shared.jetstream.connection import Connection, translate_errors
from shared.jetstream.errors import StreamUnavailable

_logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0


def notices(stream: str) -> str:
    """Give the subject of the hints about a stream; they are not kept."""
    return f"daicho.appended.{stream}"


class NoticeListener:
    """Calls `hear` with each position that the stream has come to; who hears nothing polls."""

    def __init__(self, connection: Connection, hear: Callable[[Position], None]) -> None:
        self._connection = connection
        self._hear = hear
        self._listening: Client | None = None

    @property
    def listening(self) -> bool:
        """Whether hints arrive; without them, readers poll."""
        return self._listening is not None and self._listening.is_connected

    async def run(self) -> None:
        """Listen until cancelled; the client subscribes again when it was cut off."""
        delays = backoff(first=0.1, limit=5.0)
        while True:
            try:
                client = await self._connection.client()
                if client is not self._listening:
                    with translate_errors():
                        await client.subscribe(notices(self._connection.address.stream), cb=self._take)
                    self._listening = client
                    delays = backoff(first=0.1, limit=5.0)
                await asyncio.sleep(_LOOK_SECONDS)
            except StreamUnavailable as error:
                _logger.warning("not listening: %s", error)
                await asyncio.sleep(next(delays))

    async def _take(self, message: Msg) -> None:
        if message.data.isdigit():
            self._hear(Position(int(message.data)))
