"""Materialized views over read models: refreshed concurrently, not at every event, by one replica at a time.

A view tells, in each of its rows, the `position` that it reflects.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from time import monotonic

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service.projected_position import ProjectedPosition
from query_service.projector import RESET
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
        self._changed: set[str] = set()

    def heard(self, payload: str) -> None:
        """Tell that a read database's notification came: after a `RESET` rows may differ though no position has moved."""
        if payload == RESET:
            self._changed |= self._views.keys()

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
                reached, is_changed = self._projected.value(self._views[view]), view in self._changed
                if (is_changed or await _position(connection, view) < reached) and await connection.scalar(
                    select(func.pg_try_advisory_xact_lock(_REFRESHING_LOCK))
                ):
                    self._changed.discard(view)
                    try:
                        await connection.execute(text(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {SCHEMA}.{view}"))
                    except BaseException:
                        self._changed |= {view} if is_changed else set()
                        raise
                position = await _position(connection, view)
        self._refreshed.advance({view: position})


async def _position(connection: AsyncConnection, view: str) -> Position:
    return Position(await connection.scalar(text(f"SELECT max(position) FROM {SCHEMA}.{view}")) or 0)  # noqa: S608 - ours
