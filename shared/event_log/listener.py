"""LISTENs on a connection of its own. A notification is a hint: it wakes, the table tells."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.backoff import backoff
from shared.database import translate_errors
from shared.errors import DatabaseUnavailable
from shared.event_log.tables import CHANNEL

_logger = logging.getLogger(__name__)

_HEARTBEAT = 15.0
"""Seconds without a notification after which the connection is tried."""


class Listener:
    """Calls `hear` with each notification's payload, and with `missed` after each (re)connection, for what was missed.

    `engine` must lead to PostgreSQL itself: a transaction pooler loses LISTEN.
    """

    def __init__(self, engine: AsyncEngine, channel: str, hear: Callable[[str], None], missed: str = "") -> None:
        self._engine = engine
        self._channel = channel
        self._hear = hear
        self._missed = missed
        self._listening = False

    @property
    def listening(self) -> bool:
        """Whether notifications arrive; without them, readers poll."""
        return self._listening

    async def run(self) -> None:
        """Listen until cancelled; a lost connection is replaced, with back-off."""
        delays = backoff(first=0.1, limit=5.0)
        while True:
            try:
                with translate_errors():
                    async with self._engine.connect() as connection:
                        try:
                            await self._listen(connection)
                        finally:
                            await connection.invalidate()
            except DatabaseUnavailable as error:
                _logger.warning("not listening: %s", error.__cause__)
            if self._listening:
                self._listening = False
                delays = backoff(first=0.1, limit=5.0)
                _logger.warning("the connection that LISTENs was lost; connecting again")
            await asyncio.sleep(next(delays))

    async def _listen(self, connection: AsyncConnection) -> None:
        """Return when the connection has ended."""
        raw: Any = (await connection.get_raw_connection()).driver_connection
        ended, heard = asyncio.Event(), asyncio.Event()

        def on_notification(_connection: object, _pid: int, _channel: str, payload: str) -> None:
            heard.set()
            self._hear(payload)

        def on_end(*_: object) -> None:
            ended.set()
            heard.set()

        raw.add_termination_listener(on_end)
        await raw.add_listener(self._channel, on_notification)
        self._listening = True
        self._hear(self._missed)
        while not ended.is_set():
            heard.clear()
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    await heard.wait()
            except TimeoutError:
                await connection.execute(text("SELECT 1"))


class EventListener(Listener):
    """Calls `wake` when the log has grown, or may have."""

    def __init__(self, engine: AsyncEngine, wake: Callable[[], None]) -> None:
        super().__init__(engine, CHANNEL, lambda _: wake())
