"""The projector: applies the log to the partitions whose leases this replica holds, and follows what others do."""

import asyncio
import logging
from contextlib import suppress
from time import time_ns

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service.batches import Batches
from query_service.checkpoints import Held
from query_service.freshness import Freshness
from query_service.leases import Leases
from query_service.tables import RESET
from query_service.telemetry import ProjectionTelemetry
from shared.backoff import backoff
from shared.database import translate_errors
from shared.errors import DaichoError

_logger = logging.getLogger(__name__)

_BREATH = 0.008
"""Seconds from one batch to the next at least, unless there is a whole batch to do: under load, batches are larger
then, and cost less; what comes when nothing else does is projected at once."""


class ProjectorStalled(DaichoError):
    """The projector keeps failing."""


class Projector:
    """Projects what this replica holds leases on, and follows the rest, until cancelled; `leases` are run beside it."""

    def __init__(
        self,
        batches: Batches,
        engine: AsyncEngine,
        freshness: Freshness,
        leases: Leases,
        poll_interval: float,
        telemetry: ProjectionTelemetry,
    ) -> None:
        self._telemetry = telemetry
        self._batches = batches
        self._engine = engine
        self._freshness = freshness
        self._leases = leases
        leases.changed = self.look
        self._poll_interval = poll_interval
        self._woken = asyncio.Event()
        self._is_reset = True
        self._has_news = True
        self._failure: str | None = None

    def wake(self) -> None:
        """Tell that the log may have grown."""
        if self._leases.held:
            self._woken.set()

    def heard(self, payload: str) -> None:
        """Tell that a read database's notification came: `RESET`, or the name of who applied a batch."""
        if payload == self._batches.name:
            return
        self._is_reset = self._is_reset or payload == RESET
        self.look()

    def look(self) -> None:
        """Tell that others may have projected, or that leases have changed."""
        self._has_news = True
        self._woken.set()

    @property
    def failure(self) -> str | None:
        """Why projecting, or following, last failed; None if it goes well."""
        return self._failure or self._leases.failure

    async def check(self) -> None:
        """Raise `ProjectorStalled` while nothing is projected."""
        if self.failure is not None:
            raise ProjectorStalled(self.failure)

    async def run(self) -> None:
        """Project and follow; again after whatever fails."""
        delays = backoff(first=0.1, limit=5.0)
        while True:
            try:
                with translate_errors():
                    async with self._engine.connect() as connection:
                        try:
                            await self._go_on(connection)
                        finally:
                            await connection.invalidate()
            except Exception as error:
                _logger.exception("projecting failed; trying again")
                if self._failure is None:
                    delays = backoff(first=0.1, limit=5.0)
                self._failure = (
                    f"{type(error).__name__} after position {self._freshness.position}; the log has the details"
                )
                # Notifications may be missed meanwhile.
                self._is_reset = True
                with self._leases.standing_aside():
                    await asyncio.sleep(next(delays))

    async def _go_on(self, connection: AsyncConnection) -> None:
        """Drain the log, then wait for a notification or the poll interval; again and again."""
        loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            held = self._leases.held
            if self._is_reset or self._has_news or not held:
                await self._look(connection)
            earliest = loop.time() + _BREATH
            if not held:
                self._failure = None
                await self._wait()
            elif not await self._project(connection, held):
                await self._wait()
                await asyncio.sleep(earliest - loop.time())

    async def _project(self, connection: AsyncConnection, held: Held) -> bool:
        """Apply the next batch, with patience; tell whether it was full."""
        started = time_ns()
        applied = await self._batches.apply_patiently(connection, held)
        self._failure = None
        self._freshness.applied(applied)
        if applied.records:
            self._telemetry.projected(applied.records, started)
        return applied.is_full

    async def _look(self, connection: AsyncConnection) -> None:
        is_reset, self._is_reset, self._has_news = self._is_reset, False, False
        try:
            await self._freshness.look(connection, is_reset=is_reset)
        except BaseException:
            self._is_reset = self._is_reset or is_reset
            raise

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_interval):
                await self._woken.wait()
