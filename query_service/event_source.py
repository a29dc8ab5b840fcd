"""Where the query service has its events from: the log in PostgreSQL, or the stream of JetStream that carries it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.event_pages import EventPages
from query_service.postgres_pages import PostgresEventPages
from shared.backoff import backoff
from shared.event_log.events import Position
from shared.event_log.listener import EventListener
from shared.event_log.reader import EventLog, PostgresEventLog
from shared.jetstream.address import NatsAddress, NatsSettings
from shared.jetstream.errors import StreamUnavailable, StreamUnfit
from shared.schema import EVENT_STORE

_OPEN_SECONDS = 15.0

Run = Callable[[], Awaitable[None]]


class Hearing(Protocol):
    """Hears that there may be more events, while it runs; `listening`: hints arrive, without which readers poll."""

    @property
    def listening(self) -> bool:
        """Whether hints arrive."""
        ...

    async def run(self) -> None:
        """Listen until cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class EventSource:
    """What can be read, for each purpose by connections of its own, where it has such.

    `require` raises what is wrong with it, by the name `checked` in `/health/ready`; `open` waits a while before it does.
    `listener` makes what calls what it is given when there may be more. `tables` leads to the log's tables, if it
    has any: to be loaded as sets.
    """

    log: EventLog
    projected_log: EventLog
    pages: EventPages
    streamed_pages: EventPages
    checked: str
    open: Run
    require: Run
    listener: Callable[[Callable[[], None]], Hearing]
    close: Run
    tables: AsyncEngine | None = None


def postgres_source(
    log: AsyncEngine, project: AsyncEngine, stream: AsyncEngine, listen: AsyncEngine, aggregate_types: Collection[str]
) -> EventSource:
    """Give the log in PostgreSQL; its engines are disposed of by who made them."""

    async def require() -> None:
        await EVENT_STORE.require(log)

    async def close() -> None:
        """There is nothing of its own."""

    return EventSource(
        log=PostgresEventLog(log),
        projected_log=PostgresEventLog(project),
        pages=PostgresEventPages(log, aggregate_types),
        streamed_pages=PostgresEventPages(stream, aggregate_types),
        checked="event store schema",
        open=require,
        require=require,
        listener=lambda wake: EventListener(listen, wake),
        close=close,
        tables=log,
    )


def jetstream_source(settings: NatsSettings, url: SecretStr, aggregate_types: Collection[str]) -> EventSource:
    """Give the stream on the servers of a URL, over one connection. Raises `NatsMissing`."""
    return _jetstream_source(settings.address(url), aggregate_types)


def _jetstream_source(address: NatsAddress, aggregate_types: Collection[str]) -> EventSource:
    # These need nats-py, which is there only where it is asked for.
    from query_service.jetstream_pages import JetStreamEventPages  # noqa: PLC0415
    from shared.jetstream.connection import Connection  # noqa: PLC0415
    from shared.jetstream.direct import Direct  # noqa: PLC0415
    from shared.jetstream.log import JetStreamEventLog  # noqa: PLC0415
    from shared.jetstream.notices import NoticeListener  # noqa: PLC0415
    from shared.jetstream.stream import Stream  # noqa: PLC0415

    connection = Connection(address, "daicho-query")
    stream = Stream(connection)
    log = JetStreamEventLog(stream, Direct(connection))
    pages = JetStreamEventPages(log, aggregate_types)

    async def require() -> None:
        await stream.check()

    async def open_() -> None:
        # Servers that choose a leader are no reason not to start.
        delays, ends_at = backoff(first=0.1, limit=1.0), monotonic() + _OPEN_SECONDS
        while True:
            try:
                await require()
            except StreamUnfit:
                raise
            except StreamUnavailable:
                if monotonic() > ends_at:
                    raise
            else:
                return
            await asyncio.sleep(next(delays))

    def listener(wake: Callable[[], None]) -> NoticeListener:
        def hear(position: Position) -> None:
            log.appended(position)
            wake()

        return NoticeListener(connection, hear)

    return EventSource(
        log=log,
        projected_log=log,
        pages=pages,
        streamed_pages=pages,
        checked="event stream",
        open=open_,
        require=require,
        listener=listener,
        close=connection.close,
    )
