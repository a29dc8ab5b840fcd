"""The position that this process knows the read model to have reached, and waiting for one."""

import asyncio
import heapq
from itertools import count

from shared.errors import DaichoError, Overloaded
from shared.event_log.events import Position


class ReadModelBehind(DaichoError):
    """The read model did not reach the wanted position in time."""

    def __init__(self, wanted: Position, reached: Position) -> None:
        self.wanted = wanted
        self.reached = reached
        super().__init__(f"The read model is at position {reached}, not yet at {wanted}.")

    def members(self) -> dict[str, object]:
        """Both positions."""
        return {"position": self.reached, "min_position": self.wanted}


class ProjectedPosition:
    """Moves forward only; those who wait for a position are woken by the move that reaches it."""

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._position = Position(0)
        self._waiting: list[tuple[Position, int, asyncio.Future[None]]] = []
        self._order = count()

    @property
    def value(self) -> Position:
        """The position reached: every projection has applied every event up to it."""
        return self._position

    def advance(self, position: Position) -> None:
        """Tell that the read model has reached a position."""
        self._position = max(self._position, position)
        while self._waiting and (self._waiting[0][0] <= self._position or self._waiting[0][2].done()):
            _, _, reached = heapq.heappop(self._waiting)
            if not reached.done():
                reached.set_result(None)

    async def wait_for(self, position: Position, seconds: float) -> None:
        """Return once the position is reached.

        Raises `ReadModelBehind` after that many seconds, `Overloaded` if too many are waiting.
        """
        if position <= self._position:
            return
        if len(self._waiting) >= self._max_waiting:
            self._waiting = [entry for entry in self._waiting if not entry[2].done()]
            heapq.heapify(self._waiting)
            if len(self._waiting) >= self._max_waiting:
                raise Overloaded("Too many requests are waiting for the read model.")
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (position, next(self._order), reached))
        try:
            async with asyncio.timeout(seconds):
                await reached
        except TimeoutError:
            raise ReadModelBehind(position, self._position) from None
