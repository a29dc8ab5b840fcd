"""A rebuilder of a test's own, which loads in this process."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.batches import Batches
from query_service.orders.aggregate import ORDERS
from query_service.projection import Projection
from query_service.rebuild import requests
from query_service.rebuild.loading import RangeLoader
from query_service.rebuild.rebuilder import Load, Rebuilder
from shared.event_log.reader import PostgresEventLog
from shared.event_log.registry import EventRegistry
from shared.orders.events import EVENTS
from tests.support.databases import connected


class Rebuilding:
    """What a rebuild needs, on one database."""

    def __init__(
        self, engine: AsyncEngine, read_engine: AsyncEngine, projections: Sequence[Projection], events: EventRegistry
    ) -> None:
        log = PostgresEventLog(engine)
        self.projections = projections
        self.read_engine = read_engine
        self.loader = RangeLoader(events, projections, read_engine, read_engine)
        self.batches = Batches(log, events, projections, 100)
        self._log, self._engine = log, engine

    def rebuilder(self, load: Load | None = None, kept: timedelta = timedelta(days=1)) -> Rebuilder:
        return Rebuilder(
            self._log,
            self._engine,
            self.read_engine,
            {"order": self.projections},
            self.batches,
            load or self.load,
            kept,
        )

    async def load(self, run: UUID) -> None:
        await self.loader.run(run)

    async def request(self, *names: str) -> None:
        wanted = [one for one in self.projections if not names or one.name in names]
        async with self.read_engine.begin() as connection:
            await requests.request(connection, wanted)


@asynccontextmanager
async def rebuilding(
    url: str, projections: Sequence[Projection] = ORDERS.projections, events: EventRegistry = EVENTS
) -> AsyncIterator[Rebuilding]:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(connected(url))
        read_engine = await stack.enter_async_context(connected(url, 6, autocommit=False))
        yield Rebuilding(engine, read_engine, projections, events)
