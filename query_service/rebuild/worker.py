"""A process that loads ranges of a run: `python -m query_service.rebuild.worker RUN`."""

import asyncio
import os
import sys
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from query_service.app import AGGREGATES
from query_service.engines import IN_BACKGROUND
from query_service.rebuild.loading import RangeLoader
from query_service.settings import QuerySettings
from shared.database import create_engine
from shared.event_log.registry import EventRegistry
from shared.logs import configure_logs
from shared.process import tune_garbage_collector
from shared.settings import load

_NICENESS = 10
"""The processes that serve go first."""


def engines_of(settings: QuerySettings) -> Sequence[AsyncEngine]:
    """Make the log's and the read model's, of one connection each."""
    urls = {"daicho-rebuild-log": settings.log_url, "daicho-rebuild": settings.read_url}
    return [
        create_engine(
            url,
            application_name=name,
            pool_size=1,
            autocommit=False,
            statement_timeout=None,
            server_settings=IN_BACKGROUND,
        )
        for name, url in urls.items()
    ]


async def _run(settings: QuerySettings, run: UUID) -> None:
    log_engine, read_engine = engines_of(settings)
    projections = [projection for aggregate in AGGREGATES for projection in aggregate.projections]
    registry = EventRegistry.union(aggregate.events for aggregate in AGGREGATES)
    try:
        await RangeLoader(registry, projections, log_engine, read_engine).run(run)
    finally:
        await read_engine.dispose()
        await log_engine.dispose()


if __name__ == "__main__":
    os.nice(_NICENESS)
    tune_garbage_collector()
    settings = load(QuerySettings)
    configure_logs(settings.service, settings.log_format, settings.log_level)
    asyncio.run(_run(settings, UUID(sys.argv[1])))
