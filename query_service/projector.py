"""The projector: of all replicas one applies the log to the read model, the others follow what it does, to take over."""

import asyncio
import logging
from contextlib import suppress
from time import time_ns

from prometheus_client import CollectorRegistry
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service.batches import Batches
from query_service.freshness import Freshness
from query_service.telemetry import ProjectionTelemetry
from shared.backoff import backoff
from shared.database import translate_errors
from shared.errors import DaichoError
from shared.tracing import Tracing

_logger = logging.getLogger(__name__)

PROJECTING_LOCK = 7234081526117
"""Session-level advisory lock in the read database: whoever holds it projects."""

RESET = "reset"
"""Payload of a notification that the read model was changed otherwise than by the next events."""

_BREATH = 0.008
"""Seconds from one batch to the next at least, unless there is a whole batch to do: under load, batches are larger
then, and cost less; what comes when nothing else does is projected at once."""


class ProjectorStalled(DaichoError):
    """The projector keeps failing."""


class Projector:
    """Projects until cancelled, or follows who does."""

    def __init__(
        self,
        batches: Batches,
        engine: AsyncEngine,
        freshness: Freshness,
        poll_interval: float,
        telemetry: ProjectionTelemetry | None = None,
    ) -> None:
        self._telemetry = telemetry or ProjectionTelemetry(CollectorRegistry(), Tracing())
        self._batches = batches
        self._engine = engine
        self._freshness = freshness
        self._poll_interval = poll_interval
        self._woken = asyncio.Event()
        self._is_reset = True
        self._has_news = True
        self._is_leading = False
        self._failure: str | None = None

    def wake(self) -> None:
        """Tell that the log may have grown."""
        if self._is_leading:
            self._woken.set()

    def heard(self, payload: str) -> None:
        """Tell that a read database's notification came: `RESET`, or the name of who applied a batch."""
        if payload == self._batches.name:
            return
        self._is_reset = self._is_reset or payload == RESET
        self._has_news = True
        self._woken.set()

    @property
    def is_leading(self) -> bool:
        """Whether this process is the one that projects."""
        return self._is_leading

    @property
    def failure(self) -> str | None:
        """Why projecting, or following, last failed; None if it goes well."""
        return self._failure

    async def check(self) -> None:
        """Raise `ProjectorStalled` while nothing is projected."""
        if self._failure is not None:
            raise ProjectorStalled(self._failure)

    async def run(self) -> None:
        """Follow until the lock is free, then lead; again after whatever fails."""
        delays = backoff(first=0.1, limit=5.0)
        while True:
            try:
                with translate_errors():
                    async with self._engine.connect() as connection:
                        try:
                            await self._follow(connection)
                            await self._lead(connection)
                        finally:
                            self._is_leading = False
                            # Its session holds the lock.
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
                await asyncio.sleep(next(delays))

    async def _follow(self, connection: AsyncConnection) -> None:
        """Keep this process's knowledge fresh; return once nobody else projects."""
        while True:
            self._woken.clear()
            await self._look(connection)
            if not await self._batches.is_superseded(connection):
                async with connection.begin():
                    if await connection.scalar(select(func.pg_try_advisory_lock(PROJECTING_LOCK))):
                        return
            self._failure = None
            await self._wait()

    async def _lead(self, connection: AsyncConnection) -> None:
        """Drain the log, then wait for a notification or the poll interval; again and again."""
        loop = asyncio.get_running_loop()
        self._is_leading = True
        await self._look(connection)
        while True:
            self._woken.clear()
            if self._is_reset or self._has_news:
                await self._look(connection)
                if await self._batches.is_superseded(connection):
                    return
            earliest = loop.time() + _BREATH
            if not await self._project(connection):
                await self._wait()
                await asyncio.sleep(earliest - loop.time())

    async def _project(self, connection: AsyncConnection) -> bool:
        """Apply the next batch, with patience; tell whether it was full."""
        started = time_ns()
        applied = await self._batches.apply_patiently(connection)
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
