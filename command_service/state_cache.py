"""The states that this process knows from its own commands, least recently used out first, bounded in bytes."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from shared.event_log.events import EventId, Position, StreamId, Version

ENTRY_BYTES = 700
"""What an entry takes beside its state's bytes, rounded up: key, ids, numbers, times and the table's links."""


@dataclass(frozen=True, slots=True)
class CachedState:
    """A stream's state after the event of this version and id; `state` is as `StateSchema` writes it."""

    version: Version
    position: Position
    occurred_at: datetime
    state: bytes
    snapshot_version: Version
    event_id: EventId | None = None


class StateCache:
    """Keeps what fits into `max_bytes`; 0 keeps nothing.

    An entry may be out of date: whoever uses it appends with its version, or looks at the log before refusing.
    `hits` counts the entries given; `misses` is counted by whoever loads a state instead.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self.hits = self.misses = 0
        self._entries: OrderedDict[StreamId, CachedState] = OrderedDict()

    @property
    def bytes(self) -> int:
        """What the entries take."""
        return self._bytes

    def get(self, stream: StreamId) -> CachedState | None:
        """Give the stream's entry, if it is kept."""
        entry = self._entries.get(stream)
        if entry is not None:
            self.hits += 1
            self._entries.move_to_end(stream)
        return entry

    def put(self, stream: StreamId, entry: CachedState) -> None:
        """Keep an entry, unless a newer one is kept."""
        known = self._entries.get(stream)
        if known is not None and known.version > entry.version:
            return
        self.forget(stream)
        self._entries[stream] = entry
        self._bytes += _size(entry)
        while self._bytes > self._max_bytes:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= _size(dropped)

    def forget(self, stream: StreamId) -> None:
        """Drop the stream's entry."""
        dropped = self._entries.pop(stream, None)
        if dropped is not None:
            self._bytes -= _size(dropped)


def _size(entry: CachedState) -> int:
    return ENTRY_BYTES + len(entry.state)
