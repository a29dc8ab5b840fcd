"""Loading gives way to the live generation, which has the same processors and disks."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_MOST_LAG = 0.15
"""Seconds by which the live generation may lag before loading waits."""

_STEP = 0.05

_REACHED = text("SELECT min(position) FROM read_model.checkpoints WHERE generation = 'live' AND state = 'following'")
_LAG = text("SELECT extract(epoch FROM clock_timestamp() - recorded_at) FROM event_store.events WHERE position = :next")


async def give_way(connection: AsyncConnection, log: AsyncConnection, worked: float) -> None:
    """Wait while the live generation lags, with no lock held; loading goes on in any case.

    It waits for twice the seconds that this process has worked, at most: PostgreSQL has worked for it as well.
    """
    left = 2 * worked
    while left > 0 and await _lag(connection, log) > _MOST_LAG:
        await asyncio.sleep(min(_STEP, left))
        left -= _STEP


async def _lag(connection: AsyncConnection, log: AsyncConnection) -> float:
    """Give the age, in seconds, of the oldest event that is not projected."""
    async with connection.begin(), log.begin():
        reached = await connection.scalar(_REACHED)
        return float(await log.scalar(_LAG, {"next": (reached or 0) + 1}) or 0.0)
