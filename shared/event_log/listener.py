"""LISTENs for appends on a connection of its own. A notification is a hint: it wakes, the table tells."""

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


class EventListener:
    """Calls `wake` after each notification, and after each (re)connection, for what was missed meanwhile.

    `engine` must lead to PostgreSQL itself: a transaction pooler loses LISTEN.
    """

    def __init__(self, engine: AsyncEngine, wake: Callable[[], None]) -> None:
        self._engine = engine
        self._wake = wake
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

        def on_notification(*_: object) -> None:
            heard.set()
            self._wake()

        def on_end(*_: object) -> None:
            ended.set()
            heard.set()

        raw.add_termination_listener(on_end)
        await raw.add_listener(CHANNEL, on_notification)
        self._listening = True
        self._wake()
        while not ended.is_set():
            heard.clear()
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    await heard.wait()
            except TimeoutError:
                await connection.execute(text("SELECT 1"))
