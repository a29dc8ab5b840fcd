"""The projection engine: follows the log and brings every projection along.

One transaction locks the checkpoints, applies a batch, and moves them. So each event takes effect exactly
once in each projection however often anything crashes, two projectors never both write, and readers see all
projections at one position.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service import checkpoints
from query_service.projected_position import ProjectedPosition
from query_service.projection import DecodedEvent, Projection
from shared.backoff import backoff
from shared.database import translate_errors
from shared.errors import DaichoError
from shared.event_log.events import Position, RecordedEvent
from shared.event_log.reader import EventLog
from shared.event_log.registry import EventRegistry

_logger = logging.getLogger(__name__)


class ProjectorStalled(DaichoError):
    """The projector keeps failing on the same batch."""


class Projector:
    """Projects until cancelled. `wake` is the hint that there may be something new; without it, it polls."""

    def __init__(
        self,
        log: EventLog,
        events: EventRegistry,
        projections: Sequence[Projection],
        read_engine: AsyncEngine,
        projected: ProjectedPosition,
        *,
        batch_size: int,
        poll_interval: float,
    ) -> None:
        self._log = log
        self._events = events
        self._projections = projections
        self._names = [projection.name for projection in projections]
        self._handled = frozenset().union(*(projection.event_types for projection in projections))
        self._read_engine = read_engine
        self._projected = projected
        self._batch_size = batch_size
        self._poll_interval = poll_interval
        self._woken = asyncio.Event()
        self._failure: str | None = None

    def wake(self) -> None:
        """Tell that the log may have grown."""
        self._woken.set()

    @property
    def failure(self) -> str | None:
        """Why the last batch failed; None if it did not."""
        return self._failure

    async def check(self) -> None:
        """Raise `ProjectorStalled` while batches fail."""
        if self._failure is not None:
            raise ProjectorStalled(self._failure)

    async def run(self) -> None:
        """Drain the log, then wait for a notification or the poll interval; again and again."""
        delays = backoff(first=0.1, limit=5.0)
        while True:
            self._woken.clear()
            try:
                while await self.project_batch() == self._batch_size:
                    pass
            except Exception as error:
                _logger.exception("a batch was not projected; trying again")
                self._failure = (
                    f"{type(error).__name__} after position {self._projected.value}; the log has the details"
                )
                await asyncio.sleep(next(delays))
                continue
            if self._failure is not None:
                self._failure = None
                delays = backoff(first=0.1, limit=5.0)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_interval):
                    await self._woken.wait()

    async def project_batch(self) -> int:
        """Apply the next batch to every projection that has not had it; give the number of events read."""
        with translate_errors():
            async with self._read_engine.begin() as connection:
                positions = await checkpoints.lock(connection, self._names)
                start = min(positions.values())
                records = await self._log.read_all(start, self._batch_size)
                end = records[-1].position if records else start
                if records:
                    batch = self._decode(records)
                    for projection in self._projections:
                        await _apply(connection, projection, positions[projection.name], batch)
                    behind = [name for name, position in positions.items() if position < end]
                    await checkpoints.move(connection, behind, end)
        self._projected.advance(end)
        return len(records)

    def _decode(self, records: Sequence[RecordedEvent]) -> list[DecodedEvent]:
        """Decode, once for all projections, the events that any of them handles."""
        return [
            DecodedEvent(record, self._events.decode(record))
            for record in records
            if record.event_type in self._handled
        ]


async def _apply(
    connection: AsyncConnection, projection: Projection, position: Position, batch: Sequence[DecodedEvent]
) -> None:
    new = [
        decoded
        for decoded in batch
        if decoded.record.position > position and decoded.record.event_type in projection.event_types
    ]
    if new:
        await projection.apply(connection, new)
