"""Materialized views over read models: refreshed concurrently, not at every event, by one replica at a time.

A view tells, in each of its rows, the `position` that it reflects, and the positions of events `parked` up to there.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service.projected_position import ProjectedPosition
from query_service.tables import SCHEMA
from shared.database import translate_errors
from shared.errors import DatabaseUnavailable
from shared.event_log.events import Position

_logger = logging.getLogger(__name__)

REFRESHING_LOCK = 7234081526119
"""Advisory lock: whoever holds it refreshes, or replaces the views."""

_AT_MOST = 0.1
"""The part of the time that refreshing may take."""

_PAUSE = 0.05
"""Seconds between looks while somebody waits."""


class ViewRefresher:
    """Keeps views at most some seconds behind; `refreshed` has the position of each, by its name."""

    def __init__(
        self,
        engine: AsyncEngine,
        views: Mapping[str, Sequence[str]],
        projected: ProjectedPosition,
        refreshed: ProjectedPosition,
        seconds: float,
    ) -> None:
        self._engine = engine
        self._views = views
        self._projected = projected
        self._refreshed = refreshed
        self._seconds = seconds
        self._wanted = asyncio.Event()

    async def wait_for(self, view: str, position: Position, seconds: float) -> None:
        """Return once a view is at a position; it is refreshed for whoever waits, as often as its share of the time allows.

        Raises `ReadModelBehind` and `Overloaded`.
        """
        if self._refreshed.value([view]) < position:
            self._wanted.set()
        await self._refreshed.wait_for([view], position, seconds)

    async def run(self) -> None:
        """Refresh what is behind, now and then, and when it is wanted, until cancelled."""
        while True:
            self._wanted.clear()
            started = monotonic()
            try:
                for view in self._views:
                    await self.refresh(view)
            except DatabaseUnavailable as error:
                _logger.warning("views are not refreshed: %s", error.__cause__)
            pause = max(_PAUSE, (monotonic() - started) / _AT_MOST)
            await asyncio.sleep(pause)
            if not self._refreshed.waiting:
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(self._seconds - pause, 0)):
                        await self._wanted.wait()

    async def refresh(self, view: str) -> None:
        """Refresh a view, unless it is at the projected position or another replica is at it; see where it is.

        What a retry of parked events has applied is also new, though no position moves. Raises `DatabaseUnavailable`.
        """
        of = self._views[view]
        with translate_errors():
            async with self._engine.begin() as connection:
                position, is_current = await _state(connection, view, of)
                if (position < self._projected.value(of) or not is_current) and await connection.scalar(
                    select(func.pg_try_advisory_xact_lock(REFRESHING_LOCK))
                ):
                    await connection.execute(text(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {SCHEMA}.{view}"))
                    position, _ = await _state(connection, view, of)
        self._refreshed.advance({view: position})


async def _state(connection: AsyncConnection, view: str, projections: Sequence[str]) -> tuple[Position, bool]:
    """Give a view's position, and whether the same events are parked as when it was made."""
    query = text(
        f"SELECT position, parked = ARRAY(SELECT p.position FROM {SCHEMA}.parked_events p WHERE p.generation = 'live'"  # noqa: S608 - our names
        f" AND p.projection = ANY(:projections) ORDER BY p.position) FROM {SCHEMA}.{view} LIMIT 1"
    )
    found = (await connection.execute(query, {"projections": list(projections)})).one_or_none()
    return (Position(0), False) if found is None else (Position(found[0]), found[1])
