"""What this process knows of the read model without asking: where each projection is, and which answers still hold."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.answer_cache import AnswerCache
from query_service.batches import Applied, Positions
from query_service.partitions import Partition
from query_service.projected_position import ProjectedPosition
from query_service.tables import checkpoints
from shared.event_log.events import Position
from shared.event_log.reader import EventLog

_MOST_TOUCHED = 10_000
"""How many events are looked at for the aggregates that they touched; if there are more, every answer is forgotten."""


class Freshness:
    """Brings positions and cached answers up to date together: first the answers that no longer hold go."""

    def __init__(self, log: EventLog, projected: ProjectedPosition, cache: AnswerCache) -> None:
        self._log = log
        self._projected = projected
        self._cache = cache
        self._known: Positions = {}

    @property
    def position(self) -> Position:
        """The position that every projection has reached."""
        return self._projected.value()

    def applied(self, applied: Applied) -> None:
        """Take what this process has projected itself."""
        last = max(applied.positions.values(), default=Position(0))
        if any(position > self._known.get(partition, 0) for partition, position in applied.start.items()):
            # Somebody else has projected in between.
            self._cache.clear(last)
        elif applied.events:
            self._cache.touch(applied.aggregates, last)
        self._known = {**self._known, **applied.positions}
        self._projected.advance(_least(self._known))

    async def look(self, connection: AsyncConnection, *, is_reset: bool) -> None:
        """Take what others have projected since; after a reset, forget what was known.

        Raises `DatabaseUnavailable`.
        """
        row = checkpoints.c
        query = select(row.projection, row.partitions, row.partition, row.position).where(row.generation == "live")
        async with connection.begin():
            rows = await connection.execute(query)
            found = {(name, Partition(of, number)): Position(position) for name, of, number, position in rows}
        known = self._known
        moved = [partition for partition, position in found.items() if position > known.get(partition, 0)]
        after = min((known.get(partition, Position(0)) for partition in moved), default=Position(0))
        last = max((found[partition] for partition in moved), default=Position(0))
        if is_reset or last - after > _MOST_TOUCHED:
            self._cache.clear(max(found.values(), default=Position(0)))
            self._projected.restart(_least(found))
        elif moved:
            self._cache.touch(await self._log.touched(after, last), last)
            self._projected.advance(_least(found))
        self._known = found


def _least(positions: Positions) -> dict[str, Position]:
    """Give the position that every partition of each projection has reached."""
    least: dict[str, Position] = {}
    for (name, _), position in positions.items():
        least[name] = min(position, least.get(name, position))
    return least
