"""Applying the log to a read model, batch by batch, when told."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from query_service import checkpoints
from query_service.batches import Applied, Batches
from query_service.orders.aggregate import ORDERS
from query_service.projection import Projection
from shared.event_log.reader import PostgresEventLog
from shared.event_log.registry import EventRegistry
from shared.orders.events import EVENTS
from tests.support.databases import connected
from tests.support.orders import append_orders


class Projecting:
    """Batches of a test's own; `read_engine` is not in autocommit."""

    def __init__(
        self,
        log_engine: AsyncEngine,
        read_engine: AsyncEngine,
        projections: Sequence[Projection] = ORDERS.projections,
        batch: int = 100,
        events: EventRegistry = EVENTS,
    ) -> None:
        self._projections = projections
        self._read_engine = read_engine
        self._batches = Batches(PostgresEventLog(log_engine), events, projections, batch)

    async def register(self) -> None:
        async with self._read_engine.begin() as connection:
            await checkpoints.register(connection, self._projections)

    async def apply_next(self, *, isolating: bool = False) -> Applied:
        async with self._read_engine.connect() as connection:
            return await self._batches.apply_next(connection, isolating=isolating)

    async def drain(self, *, isolating: bool = False) -> None:
        while (await self.apply_next(isolating=isolating)).events:
            pass


async def projected(database: str, engine: AsyncEngine, orders: int = 100) -> None:
    """Append this many orders, and apply the log to all of their projections."""
    await append_orders(PostgresEventStore(engine), orders)
    async with connected(database, 1, autocommit=False) as read_engine:
        one = Projecting(engine, read_engine)
        await one.register()
        await one.drain()
