"""The query service's composition root."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from query_service import checkpoints, problems
from query_service.aggregate import Aggregate
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
from shared.schema import EVENT_STORE, READ_MODEL
from shared.supervision import Supervisor
from shared.web.correlation import CorrelationMiddleware
from shared.web.health import health_router
from shared.web.problems import install_problems

AGGREGATES: Sequence[Aggregate] = (ORDERS,)


def create_app(settings: QuerySettings, aggregates: Sequence[Aggregate] = AGGREGATES) -> FastAPI:
    """Build the service; it connects when its lifespan starts, and refuses to start off schema head."""
    log_engine = _engine(settings.log_url, "daicho-query-log", settings.database_pool_size)
    read_engine = _engine(settings.read_url, "daicho-query", settings.database_pool_size)
    project_engine = _engine(settings.read_url, "daicho-project", 1, autocommit=False)
    listen_engine = _engine(settings.listen_url, "daicho-listen", 1)

    log = PostgresEventLog(log_engine)
    projections = [projection for aggregate in aggregates for projection in aggregate.projections]
    projected = ProjectedPosition(settings.max_waiting_reads)
    projector = Projector(
        log,
        EventRegistry.union(aggregate.events for aggregate in aggregates),
        projections,
        project_engine,
        projected,
        batch_size=settings.projection_batch,
        poll_interval=settings.poll_interval,
    )
    listener = EventListener(listen_engine, projector.wake)
    supervisor = Supervisor()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for engine in (log_engine, read_engine, project_engine, listen_engine):
                stack.push_async_callback(engine.dispose)
            await EVENT_STORE.require_head(log_engine)
            await READ_MODEL.require_head(read_engine)
            async with project_engine.begin() as connection:
                await checkpoints.register(connection, projections)
            await stack.enter_async_context(supervisor)
            supervisor.start("projector", projector.run)
            supervisor.start("listener", listener.run)
            yield

    app = FastAPI(
        title="Daicho query service",
        summary="Queries of the read models",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.read_engine = read_engine
    app.state.projected = projected
    app.state.projections = ProjectionStatuses(log, read_engine, projections, projector)
    app.add_middleware(CorrelationMiddleware)
    install_problems(app, [problems.PROBLEMS, *(aggregate.problems for aggregate in aggregates)])
    for aggregate in aggregates:
        app.include_router(aggregate.router)
    app.include_router(projections_router)
    app.include_router(
        health_router(
            {
                "event store schema": lambda: EVENT_STORE.require_head(log_engine),
                "read model schema": lambda: READ_MODEL.require_head(read_engine),
                "background tasks": supervisor.check,
                "projector": projector.check,
            }
        )
    )
    return app


def _engine(url: str, name: str, pool_size: int, *, autocommit: bool = True) -> AsyncEngine:
    return create_engine(url, application_name=name, pool_size=pool_size, autocommit=autocommit)
