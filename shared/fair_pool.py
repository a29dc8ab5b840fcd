"""A connection pool in which whoever waits longest is served first.

SQLAlchemy's own waits on an `asyncio.Queue`, which lets a newcomer have what was put there for another; that one queues
up at the end again. With more requests than connections, some would wait until they time out.
"""

import asyncio
from collections import deque
from typing import Any, TypeVar

from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util.queue import AsyncAdaptedQueue

T = TypeVar("T")


class FairQueue(asyncio.Queue[T]):
    """Hands an item over to the first who waits: while anybody does, the queue is empty to others."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._waiting: deque[asyncio.Future[T]] = deque()

    def put_nowait(self, item: T) -> None:
        """Hand an item over, or keep it if nobody waits."""
        while self._waiting:
            first = self._waiting.popleft()
            if not first.done():
                first.set_result(item)
                return
        super().put_nowait(item)

    async def get(self) -> T:
        """Take an item, in turn."""
        if not self.empty():
            return self.get_nowait()
        mine: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            return await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self.put_nowait(mine.result())
            raise


class _FairQueue(AsyncAdaptedQueue[Any]):
    @property
    def _queue(self) -> FairQueue[Any]:
        # Made at first use, as SQLAlchemy does, for the loop that uses it.
        queue: FairQueue[Any] = self.__dict__.setdefault("fair", FairQueue(self.maxsize))
        return queue


class FairPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's asyncio pool, but for who comes next."""

    _queue_class = _FairQueue
