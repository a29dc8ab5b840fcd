"""What this process knows of the read model without asking: where each projection is, and which answers still hold."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.answer_cache import AnswerCache
from query_service.batches import Applied
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

    @property
    def position(self) -> Position:
        """The position that every projection has reached."""
        return self._projected.value()

    def applied(self, applied: Applied) -> None:
        """Take what this process has projected itself."""
        if applied.start > self._projected.value(list(applied.positions)):
            # Somebody else has projected in between.
            self._cache.clear(max(applied.positions.values(), default=Position(0)))
        elif applied.events:
            self._cache.touch(applied.aggregates, max(applied.positions.values(), default=Position(0)))
        self._projected.advance(applied.positions)

    async def look(self, connection: AsyncConnection, *, is_reset: bool) -> None:
        """Take what others have projected since; after a reset, forget what was known.

        Raises `DatabaseUnavailable`.
        """
        row = checkpoints.c
        async with connection.begin():
            found = await connection.execute(select(row.projection, row.position).where(row.generation == "live"))
            positions = {one.projection: Position(one.position) for one in found}
        known = {name: self._projected.value([name]) for name in positions}
        moved = [name for name, position in positions.items() if position > known[name]]
        after = min((known[name] for name in moved), default=Position(0))
        last = max((positions[name] for name in moved), default=Position(0))
        if is_reset or last - after > _MOST_TOUCHED:
            self._cache.clear(max(positions.values(), default=Position(0)))
            self._projected.restart(positions)
        elif moved:
            self._cache.touch(await self._log.touched(after, last), last)
            self._projected.advance(positions)
