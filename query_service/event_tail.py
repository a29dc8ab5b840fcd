"""The end of the log, read once for all who follow it."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from query_service.event_pages import EventFilters, EventPages
from query_service.event_ring import EventRing
from query_service.rendered_events import render
from shared.backoff import backoff
from shared.errors import DatabaseUnavailable, Overloaded
from shared.event_log.events import Position
from shared.event_log.registry import EventRegistry

_logger = logging.getLogger(__name__)

PAGE_EVENTS = 500
PAGE_BYTES = 128 * 1024
"""How much of the log is read at once, in bytes as stored; at least one event."""

_PATIENCE = 1.0
"""Seconds for which the tail waits, before each page, for those who have not taken what would be dropped for it."""
_FEW = 0.1
"""The share of those who follow for whom it does not wait."""


class Follower(Protocol):
    """Whoever follows the log; it has everything up to its cursor."""

    @property
    def cursor(self) -> Position:
        """How far it has come."""
        ...

    def hurry(self) -> None:
        """Come to an end: the service stops."""
        ...


class EventTail:
    """Reads what is appended into the ring while anyone follows; `wake` is the hint that there may be something new.

    Those who follow are bounded in number, and wait for the ring to change. One that falls out of the ring is on its
    own; but the tail waits a little rather than outrun more than a few of them at once.
    """

    def __init__(
        self, pages: EventPages, events: EventRegistry, ring: EventRing, *, max_followers: int, poll_interval: float
    ) -> None:
        self.ring = ring
        self.closed = False
        self._pages = pages
        self._events = events
        self._max_followers = max_followers
        self._poll_interval = poll_interval
        self._followers: set[Follower] = set()
        self._woken = asyncio.Event()
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    @property
    def followers(self) -> int:
        """How many follow."""
        return len(self._followers)

    def wake(self) -> None:
        """Tell that the log may have grown."""
        self._woken.set()

    def took(self) -> None:
        """Tell that a follower has moved its cursor."""
        self._taken.set()

    def close(self) -> None:
        """Tell everyone to come to an end, and let none in."""
        self.closed = True
        self._tell()
        for follower in self._followers:
            follower.hurry()

    @contextmanager
    def followed_by(self, follower: Follower) -> Iterator[None]:
        """Count someone among those who follow.

        Raises `Overloaded` if there are too many, or the service stops.
        """
        if self.closed:
            raise Overloaded("The service is stopping.")
        if len(self._followers) >= self._max_followers:
            raise Overloaded("Too many clients are following the log.")
        self._followers.add(follower)
        self._woken.set()
        try:
            yield
        finally:
            self._followers.remove(follower)
            self._taken.set()
            self._woken.set()

    async def changed(self, until: float) -> bool:
        """Return when the ring has changed; False if it has not until then, in the event loop's time."""
        changed = self._changed
        try:
            async with asyncio.timeout_at(until):
                await changed.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Follow the log until cancelled; while the database is away, try again with back-off."""
        delays = backoff(first=0.1, limit=5.0)
        while True:
            self._woken.clear()
            try:
                await self._follow()
            except (DatabaseUnavailable, Overloaded) as error:
                _logger.warning("the log cannot be followed: %s; trying again", error)
                await asyncio.sleep(next(delays))
                continue
            delays = backoff(first=0.1, limit=5.0)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_interval):
                    await self._woken.wait()

    async def _follow(self) -> None:
        while self._followers and await self._read():
            pass
        if not self._followers:
            self.ring.restart(None)

    async def _read(self) -> bool:
        """Read a page into the ring; tell whether the log goes on behind it."""
        if self.ring.end is None:
            self.ring.restart(await self._pages.head())
            self._tell()
            return False
        page = await self._pages.read(self.ring.end, PAGE_EVENTS, EventFilters(), PAGE_BYTES)
        if page.events:
            rendered = [render(event, self._events) for event in page.events]
            await self._hold_back(sum(event.size for event in rendered))
            self.ring.extend(rendered, page.searched)
            self._tell()
        return page.searched < page.head

    async def _hold_back(self, more: int) -> None:
        """Wait, for a while, as long as more than a few have not taken what so many bytes more would drive out."""
        start, dropped = self.ring.start, self.ring.dropped_by(more)
        if start is None or dropped is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while self._count(start, dropped) > _FEW * len(self._followers):
                    self._taken.clear()
                    await self._taken.wait()

    def _count(self, start: Position, end: Position) -> int:
        """Count those who are past a position, but not yet at another."""
        return sum(start <= follower.cursor < end for follower in self._followers)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
