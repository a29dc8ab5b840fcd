"""`daicho relay`: the log's way out of PostgreSQL, into JetStream."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic

import typer
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from daicho.errors import NothingToRelayTo
from daicho.ledger import opened
from daicho.operating import refusals
from daicho.settings import OperatorSettings
from shared.database import create_engine, translate_errors
from shared.event_log.events import Position
from shared.event_log.listener import EventListener
from shared.event_log.reader import PostgresEventLog
from shared.process import tune_garbage_collector
from shared.schema import EVENT_STORE
from shared.supervision import Supervisor

_logger = logging.getLogger(__name__)

RELAYING_LOCK = 7234081526120
"""Session-level advisory lock in the log's database: whoever holds it relays."""

_STAND_BY_SECONDS = 1.0
_TELL_SECONDS = 10.0


async def run_relay(settings: OperatorSettings) -> None:
    """Relay until cancelled. Raises `NothingToRelayTo`, `NatsMissing`, `StreamUnfit`, and as `opened`."""
    if settings.relay_to is None:
        raise NothingToRelayTo
    address = settings.address(settings.relay_to)
    from daicho.relay import Relay  # noqa: PLC0415 - needs nats-py, which is there only now
    from shared.jetstream.connection import Connection  # noqa: PLC0415 - the same

    connection = Connection(address, "daicho-relay")
    woken = asyncio.Event()
    async with opened(settings) as ledger, AsyncExitStack() as stack:
        stack.push_async_callback(connection.close)
        engine = await stack.enter_async_context(_engine(ledger.log_url, "daicho-relay", 1))
        alone = await stack.enter_async_context(_engine(ledger.log_url, "daicho-relay-alone", 1))
        listen = await stack.enter_async_context(_engine(settings.listen_url or ledger.log_url, "daicho-listen", 1))
        await EVENT_STORE.require(engine)
        turn = _Turn(alone)
        stack.push_async_callback(turn.give_up)
        supervisor = await stack.enter_async_context(Supervisor())
        supervisor.start("listener", EventListener(listen, woken.set).run)
        told = _Told(address.stream)
        relay = Relay(PostgresEventLog(engine), connection, settings.nats_replicas, woken, told.relayed)
        tune_garbage_collector()
        with refusals():
            await relay.run(turn.wait)


@asynccontextmanager
async def _engine(url: str, name: str, size: int) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url, application_name=name, pool_size=size)
    try:
        yield engine
    finally:
        await engine.dispose()


class _Turn:
    """The lock under which one relay works; the others stand by."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: AsyncConnection | None = None

    async def wait(self) -> None:
        """Return when it is held. Raises `DatabaseUnavailable`."""
        await self.give_up()
        is_told = False
        with translate_errors():
            self._connection = await self._engine.connect()
            while not await self._connection.scalar(select(func.pg_try_advisory_lock(RELAYING_LOCK))):
                if not is_told:
                    typer.echo("another relay is at work: standing by", err=True)
                is_told = True
                await asyncio.sleep(_STAND_BY_SECONDS)

    async def give_up(self) -> None:
        """Let another have it."""
        if self._connection is not None:
            with translate_errors():
                # Its session holds the lock.
                await self._connection.invalidate()
                await self._connection.close()
            self._connection = None


class _Told:
    """Says, now and then, how far the stream has come."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._last: tuple[float, Position] | None = None

    def relayed(self, position: Position) -> None:
        """Take that everything up to a position is in the stream."""
        now = monotonic()
        if self._last is None:
            typer.echo(f"relaying to the stream {self._stream}, which ends with position {position}", err=True)
        elif now - self._last[0] < _TELL_SECONDS or position == self._last[1]:
            return
        else:
            rate = (position - self._last[1]) / (now - self._last[0])
            typer.echo(f"position {position} is in the stream ({rate:,.0f} events/s)", err=True)
        self._last = now, position
