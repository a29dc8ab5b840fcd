"""The query service's composition root."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service import checkpoints, problems
from query_service.aggregate import Aggregate
from query_service.event_catalogue import asyncapi_document
from query_service.event_pages import EventPages
from query_service.event_stream_api import router as event_stream_router
from query_service.event_streams import CONNECTIONS, EventStreams, StreamLimits
from query_service.events_api import router as events_router
from query_service.orders.aggregate import ORDERS
from query_service.projected_position import ProjectedPosition
from query_service.projections_api import ProjectionStatuses
from query_service.projections_api import router as projections_router
from query_service.projector import Projector
from query_service.settings import QuerySettings
from shared.database import create_engine
from shared.event_log.listener import EventListener
from shared.event_log.reader import PostgresEventLog
from shared.event_log.registry import EventRegistry
from shared.process import on_stop_signal
from shared.schema import EVENT_STORE, READ_MODEL
from shared.supervision import Supervisor
from shared.web.service import create_service

AGGREGATES: Sequence[Aggregate] = (ORDERS,)


class _Engines(NamedTuple):
    """One pool for each purpose, so that none of them can starve another."""

    log: AsyncEngine
    read: AsyncEngine
    project: AsyncEngine
    listen: AsyncEngine
    stream: AsyncEngine


def create_app(settings: QuerySettings, aggregates: Sequence[Aggregate] = AGGREGATES) -> FastAPI:
    """Build the service; it connects when its lifespan starts, and refuses to start off schema head."""
    engines = _engines(settings)
    log = PostgresEventLog(engines.log)
    projections = [projection for aggregate in aggregates for projection in aggregate.projections]
    registry = EventRegistry.union(aggregate.events for aggregate in aggregates)
    projected = ProjectedPosition(settings.max_waiting_reads)
    projector = Projector(
        log,
        registry,
        projections,
        engines.project,
        projected,
        batch_size=settings.projection_batch,
        poll_interval=settings.poll_interval,
    )
    aggregate_types = [aggregate.aggregate_type for aggregate in aggregates]
    streams = EventStreams(EventPages(engines.stream, aggregate_types), registry, _stream_limits(settings))
    listener = EventListener(engines.listen, _each(projector.wake, streams.tail.wake))
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
            await stack.enter_async_context(supervisor)
            supervisor.start("projector", projector.run)
            supervisor.start("listener", listener.run)
            supervisor.start("event tail", streams.tail.run)
            stack.enter_context(on_stop_signal(streams.tail.close))
            yield

    app = create_service(
        "Daicho query service",
        lifespan=lifespan,
        routers=[
            *(aggregate.router for aggregate in aggregates),
            projections_router,
            events_router,
            event_stream_router,
        ],
        problems=[problems.PROBLEMS, *(aggregate.problems for aggregate in aggregates)],
        checks={
            "event store schema": lambda: EVENT_STORE.require_head(engines.log),
            "read model schema": lambda: READ_MODEL.require_head(engines.read),
            "background tasks": supervisor.check,
            "projector": projector.check,
        },
    )
    app.state.read_engine = engines.read
    app.state.projected = projected
    app.state.event_log = log
    app.state.event_registry = registry
    app.state.event_pages = EventPages(engines.log, aggregate_types)
    app.state.event_streams = streams
    app.state.event_catalogue = asyncapi_document({one.aggregate_type: one.events for one in aggregates})
    app.state.projections = ProjectionStatuses(log, engines.read, projections, projector)
    return app


def _engines(settings: QuerySettings) -> _Engines:
    size = settings.database_pool_size
    return _Engines(
        log=create_engine(settings.log_url, application_name="daicho-query-log", pool_size=size),
        read=create_engine(settings.read_url, application_name="daicho-query", pool_size=size),
        project=create_engine(settings.read_url, application_name="daicho-project", pool_size=1, autocommit=False),
        listen=create_engine(settings.listen_url, application_name="daicho-listen", pool_size=1),
        stream=create_engine(settings.log_url, application_name="daicho-stream", pool_size=CONNECTIONS),
    )


def _stream_limits(settings: QuerySettings) -> StreamLimits:
    return StreamLimits(
        clients=settings.max_streams,
        ring_bytes=settings.stream_ring_bytes,
        heartbeat=settings.heartbeat,
        stall=settings.stream_stall,
        poll_interval=settings.poll_interval,
    )


def _each(*wakes: Callable[[], None]) -> Callable[[], None]:
    def wake() -> None:
        for one in wakes:
            one()

    return wake
