"""The positions that this process knows the read model to have reached, and waiting for one."""

import asyncio
import heapq
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import NamedTuple

from shared.errors import DaichoError, Overloaded
from shared.event_log.events import Position


class ReadModelBehind(DaichoError):
    """The read model did not reach the wanted position in time, or what was asked for is parked there."""

    def __init__(self, wanted: Position, reached: Position, *, is_parked: bool = False) -> None:
        self.wanted = wanted
        self.reached = reached
        why = ": what comes then is parked until an operator retries it" if is_parked else ""
        super().__init__(f"The read model is at position {reached}, not yet at {wanted}{why}.")

    def members(self) -> dict[str, object]:
        """Both positions."""
        return {"position": self.reached, "min_position": self.wanted}


class ProjectedPosition:
    """The position of each live projection; those who wait for some of them are woken by the move that gets all there.

    `waiting` is entered for as long as one of them waits.
    """

    def __init__(self, max_waiting: int, waiting: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._while_waiting = waiting
        self._max_waiting = max_waiting
        self._positions: Mapping[str, Position] = {}
        self._waiting: dict[tuple[str, ...] | None, list[_Waiting]] = {}
        self._order = count()
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def value(self, projections: Sequence[str] | None = None) -> Position:
        """Give the position that every one of these projections has reached; None: every one there is."""
        names = self._positions if projections is None else projections
        return min((self._positions.get(name, Position(0)) for name in names), default=Position(0))

    def advance(self, positions: Mapping[str, Position]) -> None:
        """Tell that projections have reached these positions; none moves back."""
        known = self._positions
        self.restart({**known, **{name: max(known.get(name, Position(0)), at) for name, at in positions.items()}})

    def restart(self, positions: Mapping[str, Position]) -> None:
        """Tell where every projection is, whatever was known before."""
        self._positions = positions
        for projections in list(self._waiting):
            waiting, reached = self._waiting[projections], self.value(projections)
            while waiting and (waiting[0].position <= reached or waiting[0].woken.done()):
                woken = heapq.heappop(waiting).woken
                if not woken.done():
                    woken.set_result(None)
            if not waiting:
                del self._waiting[projections]

    async def wait_for(self, projections: Sequence[str] | None, position: Position, seconds: float) -> None:
        """Return once these projections have reached the position; None: every one there is.

        Raises `ReadModelBehind` after that many seconds, `Overloaded` if too many are waiting, or the service stops.
        """
        if position <= self.value(projections):
            return
        if self._is_closed:
            raise _stopping()
        if self.waiting >= self._max_waiting:
            self._forget_those_gone()
            if self.waiting >= self._max_waiting:
                raise Overloaded("Too many requests are waiting for the read model.")
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(None if projections is None else tuple(projections), [])
        heapq.heappush(waiting, _Waiting(position, next(self._order), woken))
        try:
            with self._while_waiting():
                async with asyncio.timeout(seconds):
                    await woken
        except TimeoutError:
            raise ReadModelBehind(position, self.value(projections)) from None

    def close(self) -> None:
        """Have nobody wait any more."""
        self._is_closed = True
        for waiting in self._waiting.values():
            for one in waiting:
                if not one.woken.done():
                    one.woken.set_exception(_stopping())
        self._waiting.clear()

    def _forget_those_gone(self) -> None:
        for projections, waiting in list(self._waiting.items()):
            self._waiting[projections] = [one for one in waiting if not one.woken.done()]
            heapq.heapify(self._waiting[projections])


def _stopping() -> Overloaded:
    return Overloaded("The service is stopping.")


class _Waiting(NamedTuple):
    """Ordered by position, then by who came first."""

    position: Position
    order: int
    woken: asyncio.Future[None]
