"""Loading gives way to the live generation, which has the same processors and disks."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_MOST_LAG = 0.15
"""Seconds by which the live generation may lag before loading waits."""

_PATIENCE = 10.0
"""Seconds to wait, at most, for each second worked and each second of lag."""

_STEP = 0.05
_STUCK = 1.0
"""Seconds without progress after which the live generation has no use for whatever is left to it."""

_REACHED = text("SELECT min(position) FROM read_model.checkpoints WHERE generation = 'live' AND state = 'following'")
_LAG = text("SELECT extract(epoch FROM clock_timestamp() - recorded_at) FROM event_store.events WHERE position = :next")


class GivingWay:
    """Waits while the live generation lags and moves, with no lock held; loading goes on in any case."""

    def __init__(self, connection: AsyncConnection, log: AsyncConnection) -> None:
        self._connection = connection
        self._log = log
        self._stuck_at: int | None = None

    async def after(self, worked: float) -> None:
        """Wait the longer the further the live generation lags, and the more seconds this process has worked."""
        waited = 0.0
        start, lag = await self._look()
        reached = start
        while lag > _MOST_LAG and reached != self._stuck_at and waited < worked * min(lag, 1.0) * _PATIENCE:
            await asyncio.sleep(_STEP)
            waited += _STEP
            reached, lag = await self._look()
            if reached == start and waited > _STUCK:
                self._stuck_at = reached

    async def _look(self) -> tuple[int, float]:
        """Give the position that the live generation has reached, and the age, in seconds, of the event after it."""
        async with self._connection.begin(), self._log.begin():
            reached = int(await self._connection.scalar(_REACHED) or 0)
            return reached, float(await self._log.scalar(_LAG, {"next": reached + 1}) or 0.0)
