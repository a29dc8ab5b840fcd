"""The query service's composition root."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.middleware import Middleware

from query_service import checkpoints, problems
from query_service.aggregate import Aggregate
from query_service.answer_cache import AnswerCache
from query_service.batches import Batches
from query_service.conditional import ConditionalAnswers
from query_service.event_catalogue import asyncapi_document
from query_service.event_pages import EventPages
from query_service.events_api import router as events_router
from query_service.freshness import Freshness
from query_service.orders.aggregate import ORDERS
from query_service.parking import require_nothing_parked
from query_service.projected_position import ProjectedPosition
from query_service.projection_statuses import ProjectionStatuses
from query_service.projections_api import router as projections_router
from query_service.projector import RESET, Projector
from query_service.reading import READING
from query_service.rebuild import requests
from query_service.rebuild.processes import LoadProcesses
from query_service.rebuild.rebuilder import Rebuilder
from query_service.rebuild.service import Rebuilds
from query_service.retrying import Retrying
from query_service.settings import QuerySettings
from query_service.tables import CHANNEL
from query_service.views import ViewRefresher
from shared.database import create_engine
from shared.event_log.listener import EventListener, Listener
from shared.event_log.reader import PostgresEventLog
from shared.event_log.registry import EventRegistry
from shared.schema import EVENT_STORE, READ_MODEL
from shared.supervision import Supervisor
from shared.web.service import create_service

AGGREGATES: Sequence[Aggregate] = (ORDERS,)

_PROJECTING = {
    # A crash of PostgreSQL may take the last batches back, rows and checkpoint together: they are projected again.
    "synchronous_commit": "off",
    # A machine that is gone gives up its lock within seconds.
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
}


class _Engines(NamedTuple):
    """One pool for each purpose, so that none of them can starve another."""

    log: AsyncEngine
    read: AsyncEngine
    project: AsyncEngine
    project_log: AsyncEngine
    listen: AsyncEngine
    listen_read: AsyncEngine
    rebuild: AsyncEngine
    refresh: AsyncEngine


def create_app(settings: QuerySettings, aggregates: Sequence[Aggregate] = AGGREGATES) -> FastAPI:
    """Build the service; it connects when its lifespan starts, and refuses to start off schema head."""
    engines = _engines(settings)
    log = PostgresEventLog(engines.log)
    projections = [projection for aggregate in aggregates for projection in aggregate.projections]
    registry = EventRegistry.union(aggregate.events for aggregate in aggregates)
    projected = ProjectedPosition(settings.max_waiting_reads)
    cache = AnswerCache(settings.answer_cache_bytes)
    batches = Batches(PostgresEventLog(engines.project_log), registry, projections, settings.projection_batch)
    freshness = Freshness(engines.project_log, projected, cache)
    projector = Projector(batches, engines.project, freshness, settings.poll_interval)
    listener = EventListener(engines.listen, projector.wake)
    rebuilder = Rebuilder(
        log,
        engines.log,
        engines.rebuild,
        {aggregate.aggregate_type: aggregate.projections for aggregate in aggregates},
        Batches(log, registry, projections, settings.projection_batch),
        LoadProcesses(settings).load,
        timedelta(seconds=settings.keep_previous),
    )
    rebuilds = Rebuilds(rebuilder)
    refreshed = ProjectedPosition(settings.max_waiting_reads)
    views = [view for aggregate in aggregates for view in aggregate.views]
    refresher = ViewRefresher(engines.refresh, views, projected, refreshed, settings.refresh_seconds)

    def heard(payload: str) -> None:
        projector.heard(payload)
        rebuilds.heard(payload)

    projected_listener = Listener(engines.listen_read, CHANNEL, heard, missed=RESET)
    supervisor = Supervisor()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for engine in engines:
                stack.push_async_callback(engine.dispose)
            await EVENT_STORE.require_head(engines.log)
            await READ_MODEL.require_head(engines.read)
            async with engines.project.begin() as connection:
                await checkpoints.register(connection, projections)
                await requests.request_outdated(connection, projections)
            await stack.enter_async_context(supervisor)
            supervisor.start("projector", projector.run)
            supervisor.start("listener", listener.run)
            supervisor.start("listener to other replicas", projected_listener.run)
            supervisor.start("rebuilds", rebuilds.run)
            supervisor.start("views", refresher.run)
            yield

    app = create_service(
        "Daicho query service",
        lifespan=lifespan,
        routers=[*(aggregate.router for aggregate in aggregates), projections_router, events_router],
        problems=[problems.PROBLEMS, *(aggregate.problems for aggregate in aggregates)],
        checks={
            "event store schema": lambda: EVENT_STORE.require_head(engines.log),
            "read model schema": lambda: READ_MODEL.require_head(engines.read),
            "background tasks": supervisor.check,
            "projector": projector.check,
        },
        warnings={"parked": partial(require_nothing_parked, engines.read), "rebuild": rebuilds.check},
        middleware=[Middleware(ConditionalAnswers, cache=cache, projected=projected)],
    )
    app.state.read_engine = engines.read
    app.state.projected = projected
    app.state.refreshed = refreshed
    app.state.event_log = log
    app.state.event_registry = registry
    app.state.event_pages = EventPages(engines.log, [aggregate.aggregate_type for aggregate in aggregates])
    app.state.event_catalogue = asyncapi_document({one.aggregate_type: one.events for one in aggregates})
    app.state.retrying = Retrying(log, registry, projections, engines.rebuild)
    app.state.projections = {projection.name: projection for projection in projections}
    app.state.projection_statuses = ProjectionStatuses(log, engines.read, projections, projector)
    return app


def _engines(settings: QuerySettings) -> _Engines:
    size = settings.database_pool_size
    return _Engines(
        log=create_engine(settings.log_url, application_name="daicho-query-log", pool_size=size),
        read=create_engine(settings.read_url, application_name="daicho-query", pool_size=size, server_settings=READING),
        project=create_engine(
            settings.read_url,
            application_name="daicho-project",
            pool_size=1,
            autocommit=False,
            server_settings=_PROJECTING,
        ),
        project_log=create_engine(settings.log_url, application_name="daicho-project-log", pool_size=1),
        listen=create_engine(settings.listen_url, application_name="daicho-listen", pool_size=1),
        listen_read=create_engine(settings.read_url, application_name="daicho-listen-read", pool_size=1),
        rebuild=create_engine(
            settings.read_url,
            application_name="daicho-rebuild",
            pool_size=2,
            autocommit=False,
            statement_timeout=None,
        ),
        refresh=create_engine(
            settings.read_url,
            application_name="daicho-refresh",
            pool_size=1,
            autocommit=False,
            statement_timeout=None,
        ),
    )
