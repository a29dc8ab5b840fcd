"""What the commands that work on read models share."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from daicho.errors import NoSuchProjection
from daicho.ledger import Ledger, opened
from daicho.operating import refusals
from daicho.settings import OperatorSettings
from query_service import checkpoints
from query_service.app import AGGREGATES
from query_service.engines import IN_BACKGROUND
from query_service.event_source import EventSource, jetstream_source, postgres_source
from query_service.projection import Projection
from shared.database import create_engine, translate_errors
from shared.event_log.reader import EventLog
from shared.event_log.registry import EventRegistry
from shared.schema import READ_MODEL


@dataclass(frozen=True, slots=True)
class ReadSide:
    """Log and read model of a ledger; `read_engine` is not in autocommit, its statements may take any time.

    `log_engine` leads to the log's tables, where events come from there.
    """

    ledger: Ledger
    log_engine: AsyncEngine | None
    read_engine: AsyncEngine
    log: EventLog
    registry: EventRegistry
    by_type: Mapping[str, Sequence[Projection]]

    @property
    def projections(self) -> list[Projection]:
        """Every projection there is."""
        return [projection for some in self.by_type.values() for projection in some]

    def named(self, names: Sequence[str]) -> list[Projection]:
        """Give these projections; without names, all.

        Raises `NoSuchProjection`.
        """
        known = {projection.name: projection for projection in self.projections}
        for name in names:
            if name not in known:
                raise NoSuchProjection(name, list(known))
        return [known[name] for name in names] if names else self.projections


@asynccontextmanager
async def read_side(settings: OperatorSettings) -> AsyncIterator[ReadSide]:
    """Give the read side of the ledger.

    Raises `SchemaMismatch`, `DatabaseUnavailable`, and `DatabaseRefused` for what PostgreSQL refuses while this lasts.
    """
    async with opened(settings) as ledger, AsyncExitStack() as stack:
        read_engine = create_engine(
            ledger.read_url,
            application_name="daicho-operate",
            pool_size=6,
            autocommit=False,
            statement_timeout=None,
            server_settings=IN_BACKGROUND,
        )
        stack.push_async_callback(read_engine.dispose)
        source = await _source(settings, ledger, stack)
        await source.open()
        await READ_MODEL.require(read_engine)
        by_type = {aggregate.aggregate_type: aggregate.projections for aggregate in AGGREGATES}
        registry = EventRegistry.union(aggregate.events for aggregate in AGGREGATES)
        side = ReadSide(ledger, source.tables, read_engine, source.log, registry, by_type)
        with refusals(), translate_errors():
            async with read_engine.begin() as connection:
                await checkpoints.register(connection, side.projections)
            yield side


async def _source(settings: OperatorSettings, ledger: Ledger, stack: AsyncExitStack) -> EventSource:
    types = [aggregate.aggregate_type for aggregate in AGGREGATES]
    if settings.event_source is not None:
        source = jetstream_source(settings, settings.event_source, types)
        stack.push_async_callback(source.close)
        return source
    engine = create_engine(ledger.log_url, application_name="daicho-operate", pool_size=2)
    stack.push_async_callback(engine.dispose)
    return postgres_source(engine, engine, engine, engine, types)
