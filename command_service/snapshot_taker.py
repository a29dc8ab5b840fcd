"""Saves snapshots in the background, off the request's path."""

import asyncio
import logging

from command_service.snapshots import Snapshot, SnapshotStore
from shared.errors import DatabaseUnavailable, Overloaded
from shared.event_log.events import StreamId

_logger = logging.getLogger(__name__)

_MAX_WAITING_BYTES = 16 * 1024 * 1024


class SnapshotTaker:
    """`take` never waits; `run` must be running for snapshots to be saved.

    What waits is bounded (invariant I10): a snapshot for which there is no room is not taken, nor is one that the
    database does not take. A later load makes up for both.
    """

    def __init__(self, store: SnapshotStore, max_bytes: int = _MAX_WAITING_BYTES) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._bytes = 0
        self._waiting: dict[StreamId, Snapshot] = {}
        self._work = asyncio.Event()

    def take(self, snapshot: Snapshot) -> None:
        """Have a snapshot saved soon; it replaces one of the same stream that waits."""
        replaced = self._waiting.get(snapshot.stream)
        grown = self._bytes + len(snapshot.state) - (len(replaced.state) if replaced else 0)
        if grown > self._max_bytes:
            _logger.warning("no room for a snapshot of %s %s", *snapshot.stream)
            return
        self._bytes = grown
        self._waiting[snapshot.stream] = snapshot
        self._work.set()

    async def run(self) -> None:
        """Save what waits, again and again, until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            snapshots, self._waiting, self._bytes = list(self._waiting.values()), {}, 0
            try:
                await self._store.save(snapshots)
            except (DatabaseUnavailable, Overloaded) as error:
                _logger.warning("%d snapshots were not saved: %s", len(snapshots), error)
