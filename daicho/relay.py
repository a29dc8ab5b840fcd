"""The relay: publishes the log to JetStream, each event once and in order.

The stream is its own checkpoint. An event's sequence in it is to be its position, and the server takes a message only as
the very next one; so whatever crashes, is sent twice, gets lost or has two relays at work, nothing is doubled, left out
or out of order: what is not next is refused, and the relay goes on from where the stream then ends.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import nats.errors

from shared.backoff import backoff
from shared.errors import DatabaseUnavailable, Overloaded
from shared.event_log.events import Position, RecordedEvent
from shared.event_log.reader import EventLog
from shared.jetstream.connection import Connection, translate_errors
from shared.jetstream.errors import StreamUnfit
from shared.jetstream.message import MESSAGE_ID
from shared.jetstream.notices import notices
from shared.jetstream.publisher import Publisher, Window
from shared.jetstream.stream import Stream

_logger = logging.getLogger(__name__)

WINDOW_EVENTS = 1000
WINDOW_BYTES = 4 * 1024 * 1024
"""How much is read and published at once; three windows are in memory at most, and two on their way (I10)."""


class Relay:
    """Follows the log until cancelled; `relayed` is told each position that is safe in the stream.

    `woken` is set where the log may have grown.
    """

    def __init__(
        self,
        log: EventLog,
        connection: Connection,
        replicas: int,
        woken: asyncio.Event,
        relayed: Callable[[Position], None],
        poll_interval: float = 1.0,
    ) -> None:
        self._log = log
        self._connection = connection
        self._stream = Stream(connection)
        self._replicas = replicas
        self._woken = woken
        self._relayed = relayed
        self._poll_interval = poll_interval
        self._is_fresh = True

    async def run(self, alone: Callable[[], Awaitable[None]]) -> None:
        """Relay, from the stream's end on, whenever one is `alone`; again after whatever fails. Raises `StreamUnfit`."""
        delays = backoff(first=0.05, limit=2.0)
        while True:
            try:
                await alone()
                await self._follow(await self.resume())
            except StreamUnfit:
                raise
            except (DatabaseUnavailable, Overloaded) as error:
                _logger.warning("relaying was interrupted: %s; going on from where the stream ends", error)
            # With it go the answers that are still awaited.
            await self._connection.close()
            if self._is_fresh:
                delays = backoff(first=0.05, limit=2.0)
            self._is_fresh = False
            await asyncio.sleep(next(delays))

    async def resume(self) -> Position:
        """Give where the stream ends, made if there is none, once its last event is known to be the log's.

        Raises `StreamUnfit` if it is another log's, and `StreamUnavailable`.
        """
        position = await self._stream.ensure(self._replicas)
        if position:
            context = await self._connection.context()
            with translate_errors():
                last = await context.get_msg(self._stream.name, seq=position)
            found = await self._log.read_all(Position(position - 1), 1)
            if not found or str(found[0].event_id) != (last.headers or {}).get(MESSAGE_ID):
                raise StreamUnfit(
                    f"the stream {self._stream.name} is of another log: its last event, at position {position}, is not"
                    " this log's: see docs/how-to/relay-to-jetstream.md"
                )
        self._relayed(position)
        return position

    async def _follow(self, position: Position) -> None:
        """Publish what is past a position, and what comes; meanwhile the next is read, and what was before is answered."""
        publisher = Publisher(await self._connection.client(), self._stream.name)
        await publisher.listen()
        on_its_way: deque[tuple[Window, Position]] = deque()
        events = await self._read(position)
        while True:
            if events:
                position = events[-1].position
                window, events = await asyncio.gather(publisher.publish(events), self._read(position))
                on_its_way.append((window, position))
            while len(on_its_way) > bool(events):
                window, end = on_its_way.popleft()
                await publisher.settle(window)
                await self._tell(end)
            if not events:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_interval):
                        await self._woken.wait()
                events = await self._read(position)

    async def _read(self, position: Position) -> Sequence[RecordedEvent]:
        self._woken.clear()
        return await self._log.read_all(position, WINDOW_EVENTS, max_bytes=WINDOW_BYTES)

    async def _tell(self, position: Position) -> None:
        """Tell that everything up to a position is in the stream."""
        self._is_fresh = True
        self._relayed(position)
        client = await self._connection.client()
        with suppress(nats.errors.Error):
            # A hint only.
            await client.publish(notices(self._stream.name), str(position).encode())
