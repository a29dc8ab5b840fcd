"""The reading side of the log, in JetStream: by position, from whichever replica of the stream is near."""

import asyncio
from collections.abc import Collection, Sequence
from itertools import takewhile

from shared.backoff import backoff
from shared.event_log.events import Position, RecordedEvent, StreamId, Version
from shared.jetstream.direct import Direct
from shared.jetstream.errors import StreamUnavailable, StreamUnfit
from shared.jetstream.message import subject
from shared.jetstream.stream import Stream

_AT_ONCE = 1000
_CATCH_UP_SECONDS = 2.0
"""How long a replica may take to have what the stream's leader has."""


class JetStreamEventLog:
    """The log in a stream, an `EventLog`. All raise `StreamUnavailable`.

    A replica may be behind the stream's leader. What is known to be there, by the leader's or the relay's word, is waited
    for: so a read never ends before a head that was given earlier.
    """

    def __init__(self, stream: Stream, direct: Direct) -> None:
        self._stream = stream
        self._direct = direct
        self._known = Position(0)

    def appended(self, position: Position) -> None:
        """Tell that the stream has come to a position."""
        self._known = max(self._known, position)

    async def head(self) -> Position:
        """See `EventLog.head`."""
        head = await self._stream.head()
        self.appended(head)
        return head

    async def read_all(
        self,
        after_position: Position,
        limit: int,
        types: Collection[str] | None = None,
        max_bytes: int | None = None,
    ) -> Sequence[RecordedEvent]:
        """See `EventLog.read_all`."""
        found: list[RecordedEvent] = []
        size, after = 0, after_position
        while len(found) < limit:
            some = await self._past(after, min(limit - len(found), _AT_ONCE))
            for event in some:
                if types is None or event.event_type in types:
                    found.append(event)
                    size += event.size
                    if max_bytes is not None and size >= max_bytes:
                        return found
            if not some:
                return found
            after = some[-1].position
            if types is None and after >= self._known:
                return found
        return found

    async def read_stream(self, stream: StreamId, after_version: Version = Version(0)) -> Sequence[RecordedEvent]:
        """See `EventLog.read_stream`."""
        about = subject(stream)
        head, count = await self._stream.count(about)
        self.appended(head)
        found: list[RecordedEvent] = []
        delays, ends_at = backoff(first=0.005, limit=0.1), _now() + _CATCH_UP_SECONDS
        while len(found) < count:
            after = found[-1].position if found else Position(0)
            read = await self._direct.read(after, min(count - len(found), _AT_ONCE), about)
            found += read.events
            if not read.events:
                await _wait(next(delays), ends_at)
        return [event for event in found if event.version > after_version]

    async def touched(self, after: Position, upto: Position) -> frozenset[StreamId]:
        """See `EventLog.touched`."""
        streams: set[StreamId] = set()
        while after < upto:
            some = await self.read_all(after, _AT_ONCE)
            if not some:
                raise StreamUnavailable(f"the stream ends before position {upto}, which was read from it")
            streams.update(event.stream for event in takewhile(lambda one: one.position <= upto, some))
            after = some[-1].position
        return frozenset(streams)

    async def _past(self, after: Position, count: int) -> Sequence[RecordedEvent]:
        """Give up to so many of the events past a position: one at least, if it is known to be there."""
        delays, ends_at = backoff(first=0.005, limit=0.1), _now() + _CATCH_UP_SECONDS
        while True:
            some, pending = await self._direct.read(after, count)
            if some:
                break
            if after >= self._known:
                return ()
            await _wait(next(delays), ends_at)
        if some[0].position != after + 1 or some[-1].position != after + len(some):
            raise StreamUnfit(f"the stream lacks events past position {after}")
        self.appended(Position(some[-1].position + pending))
        return some


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _wait(seconds: float, ends_at: float) -> None:
    if _now() + seconds > ends_at:
        raise StreamUnavailable("the replica of the stream that answers is behind")
    await asyncio.sleep(seconds)
