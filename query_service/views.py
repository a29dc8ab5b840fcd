"""Materialized views over read models: refreshed concurrently, not at every event, by one replica at a time.

A view tells, in each of its rows, the `position` that it reflects.
"""

import asyncio
import logging
from collections.abc import Sequence
from time import monotonic

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service.projected_position import ProjectedPosition
from query_service.tables import SCHEMA
from shared.database import translate_errors
from shared.errors import DatabaseUnavailable
from shared.event_log.events import Position

_logger = logging.getLogger(__name__)

_REFRESHING_LOCK = 7234081526119
"""Transaction-level advisory lock: whoever holds it refreshes."""

_AT_MOST = 0.1
"""The part of the time that refreshing may take."""


class ViewRefresher:
    """Keeps views at most some seconds behind; `refreshed` has the position of each, by its name."""

    def __init__(
        self,
        engine: AsyncEngine,
        views: Sequence[str],
        projected: ProjectedPosition,
        refreshed: ProjectedPosition,
        seconds: float,
    ) -> None:
        self._engine = engine
        self._views = views
        self._projected = projected
        self._refreshed = refreshed
        self._seconds = seconds

    async def run(self) -> None:
        """Refresh what is behind, now and then, until cancelled."""
        while True:
            started = monotonic()
            try:
                for view in self._views:
                    await self.refresh(view)
            except DatabaseUnavailable as error:
                _logger.warning("views are not refreshed: %s", error.__cause__)
            await asyncio.sleep(max(self._seconds, (monotonic() - started) / _AT_MOST))

    async def refresh(self, view: str) -> None:
        """Refresh a view, unless it is at the projected position or another replica is at it; see where it is.

        Raises `DatabaseUnavailable`.
        """
        with translate_errors():
            async with self._engine.begin() as connection:
                if await _position(connection, view) < self._projected.value() and await connection.scalar(
                    select(func.pg_try_advisory_xact_lock(_REFRESHING_LOCK))
                ):
                    await connection.execute(text(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {SCHEMA}.{view}"))
                position = await _position(connection, view)
        self._refreshed.advance({view: position})


async def _position(connection: AsyncConnection, view: str) -> Position:
    return Position(await connection.scalar(text(f"SELECT max(position) FROM {SCHEMA}.{view}")) or 0)  # noqa: S608 - ours
