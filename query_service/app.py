"""The query service's composition root."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import cache as made_once
from functools import partial
from typing import ParamSpec
from uuid import UUID

from fastapi import FastAPI
from starlette.middleware import Middleware

from query_service import checkpoints, documentation, problems
from query_service.aggregate import Aggregate
from query_service.answer_cache import AnswerCache
from query_service.batches import Batches
from query_service.conditional import ConditionalAnswers
from query_service.engines import Engines, create_engines
from query_service.event_catalogue import asyncapi_document
from query_service.event_source import EventSource, jetstream_source, postgres_source
from query_service.event_stream_api import router as event_stream_router
from query_service.event_streams import EventStreams, StreamLimits
from query_service.events_api import catalogue_router as event_catalogue_router
from query_service.events_api import router as events_router
from query_service.freshness import Freshness
from query_service.leases import Leases
from query_service.metrics import tell_of_reads
from query_service.orders.aggregate import ORDERS
from query_service.orders.dashboard.page import mount_dashboard
from query_service.parking import require_nothing_parked
from query_service.projected_position import ProjectedPosition
from query_service.projection_health import ProjectionHealth
from query_service.projection_statuses import ProjectionStatuses
from query_service.projections_api import operations_router
from query_service.projections_api import router as projections_router
from query_service.projector import Projector
from query_service.read_deadline import ReadDeadline
from query_service.reading import rows_about
from query_service.rebuild import requests
from query_service.rebuild.processes import LoadProcesses
from query_service.rebuild.rebuilder import Rebuilder
from query_service.rebuild.service import Rebuilds
from query_service.retrying import Retrying
from query_service.settings import QuerySettings
from query_service.tables import CHANNEL, RESET
from query_service.telemetry import ProjectionTelemetry
from query_service.views import ViewRefresher
from shared.event_log.listener import Listener
from shared.event_log.registry import EventRegistry
from shared.grouped_reads import GroupedReads
from shared.metrics import create_registry
from shared.schema import READ_MODEL
from shared.supervision import Supervisor
from shared.tracing import Tracing
from shared.web.access import OPEN, OPERATIONS, Guarded, needs
from shared.web.admission import Admission, Bounds
from shared.web.metrics import serve_metrics
from shared.web.service import create_service

P = ParamSpec("P")

AGGREGATES: Sequence[Aggregate] = (ORDERS,)


def create_app(settings: QuerySettings, aggregates: Sequence[Aggregate] = AGGREGATES) -> FastAPI:
    """Build the service; it connects when its lifespan starts, and refuses to start on a schema that does not serve it."""
    engines = create_engines(settings)
    aggregate_types = [aggregate.aggregate_type for aggregate in aggregates]
    source = _source(settings, engines, aggregate_types)
    projections = [projection for aggregate in aggregates for projection in aggregate.projections]
    registry = EventRegistry.union(aggregate.events for aggregate in aggregates)
    tracing, metrics = Tracing.of(settings.service, settings.traces), create_registry()
    admission = Admission(_bounds(settings), uncounted=["/events/stream"])
    projected = ProjectedPosition(settings.max_waiting_reads, admission.waiting)
    cache = AnswerCache(settings.answer_cache_bytes)
    batches = Batches(source.projected_log, registry, projections, settings.projection_batch)
    freshness = Freshness(source.projected_log, projected, cache)
    leases = Leases(engines.leases, UUID(batches.name), batches.is_superseded, settings.lease_seconds)
    told = ProjectionTelemetry(metrics, tracing)
    projector = Projector(batches, engines.project, freshness, leases, settings.poll_interval, told)
    streams = EventStreams(source.streamed_pages, registry, _stream_limits(settings))
    listener = source.listener(_each(projector.wake, streams.tail.wake))
    rebuilds = _rebuilds(settings, source, engines, registry, aggregates)
    refreshed = ProjectedPosition(settings.max_waiting_reads, admission.waiting)
    refresher = ViewRefresher(engines.refresh, _views(aggregates), projected, refreshed, settings.refresh_seconds)
    statuses = ProjectionStatuses(source.log, engines.read, projections, projector, rebuilds)
    health = ProjectionHealth(statuses)
    hearing = _each(projector.heard, leases.heard, rebuilds.heard)
    projected_listener = Listener(engines.listen_read, CHANNEL, hearing, missed=RESET)
    supervisor = Supervisor()
    background = {
        "projector": projector.run,
        "leases": leases.run,
        "listener": listener.run,
        "listener to other replicas": projected_listener.run,
        "rebuilds": rebuilds.run,
        "views": refresher.run,
        "event tail": streams.tail.run,
    }

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for engine in engines:
                stack.push_async_callback(engine.dispose)
            stack.push_async_callback(source.close)
            await source.open()
            await READ_MODEL.require(engines.read)
            async with engines.project.begin() as connection:
                await checkpoints.register(connection, projections)
                await requests.request_outdated(connection, projections)
            await stack.enter_async_context(supervisor)
            for name, run in background.items():
                supervisor.start(name, run)
            yield

    app = create_service(
        documentation.service(aggregates),
        lifespan=lifespan,
        routers=_routers(aggregates),
        problems=[problems.PROBLEMS, *(aggregate.problems for aggregate in aggregates)],
        verifier=settings.verifier(),
        hosts=settings.allowed_hosts,
        admission=admission,
        drain_seconds=settings.drain_seconds,
        tracing=tracing,
        end=_each(streams.tail.close, projected.close, refreshed.close),
        checks={
            source.checked: source.require,
            "read model schema": lambda: READ_MODEL.require(engines.read),
            "background tasks": supervisor.check,
            "projector": projector.check,
            "projections": health.check,
        },
        progress=health.progress,
        warnings={"parked": partial(require_nothing_parked, engines.read), "rebuild": rebuilds.check},
        inner_middleware=[
            # Those who share an answer wait for one another within their deadlines.
            Middleware(ReadDeadline, seconds=settings.read_deadline),
            Middleware(ConditionalAnswers, cache=cache, projected=projected),
        ],
    )
    serve_metrics(app, metrics, engines._asdict())
    app.state.projection_metrics = tell_of_reads(
        metrics, cache, projected, streams, leases, {"log": listener, "read model": projected_listener}
    )
    app.state.read_engine, app.state.search_engine = engines.read, engines.search
    app.state.grouped_reads = GroupedReads(partial(rows_about, engines.read))
    app.state.projected, app.state.views = projected, refresher
    app.state.event_log, app.state.event_registry = source.log, registry
    app.state.event_pages, app.state.event_streams = source.pages, streams
    app.state.event_catalogue = made_once(
        partial(asyncapi_document, {one.aggregate_type: one.events for one in aggregates})
    )
    app.state.retrying = Retrying(source.log, registry, projections, engines.retry)
    app.state.projections, app.state.projection_statuses = {one.name: one for one in projections}, statuses
    mount_dashboard(app, settings.command_url)
    return app


def _views(aggregates: Sequence[Aggregate]) -> Mapping[str, Sequence[str]]:
    return {view: of for aggregate in aggregates for view, of in aggregate.views.items()}


def _routers(aggregates: Sequence[Aggregate]) -> Sequence[Guarded]:
    """Give each router with what it needs: the log has every aggregate's events, so it takes all their scopes."""
    log = needs(*(aggregate.scope for aggregate in aggregates))
    return [
        *(Guarded(aggregate.router, needs(aggregate.scope)) for aggregate in aggregates),
        Guarded(projections_router, needs(OPERATIONS) | log),
        Guarded(operations_router, needs(OPERATIONS)),
        Guarded(events_router, log),
        Guarded(event_stream_router, log),
        Guarded(event_catalogue_router, OPEN),
    ]


def _source(settings: QuerySettings, engines: Engines, aggregate_types: Sequence[str]) -> EventSource:
    if settings.event_source is not None:
        return jetstream_source(settings, settings.event_source, aggregate_types)
    return postgres_source(engines.log, engines.project_log, engines.stream, engines.listen, aggregate_types)


def _rebuilds(
    settings: QuerySettings,
    source: EventSource,
    engines: Engines,
    registry: EventRegistry,
    aggregates: Sequence[Aggregate],
) -> Rebuilds:
    projections = [projection for aggregate in aggregates for projection in aggregate.projections]
    rebuilder = Rebuilder(
        source.log,
        source.tables,
        engines.rebuild,
        {aggregate.aggregate_type: aggregate.projections for aggregate in aggregates},
        Batches(source.log, registry, projections, settings.projection_batch),
        LoadProcesses(settings).load,
        timedelta(seconds=settings.keep_previous),
    )
    return Rebuilds(rebuilder)


def _bounds(settings: QuerySettings) -> Bounds:
    return Bounds(
        requests=settings.max_requests,
        connections=settings.max_connections,
        receive_seconds=settings.receive_seconds,
        send_seconds=settings.stream_stall,
    )


def _stream_limits(settings: QuerySettings) -> StreamLimits:
    return StreamLimits(
        clients=settings.max_streams,
        ring_bytes=settings.stream_ring_bytes,
        heartbeat=settings.heartbeat,
        stall=settings.stream_stall,
        poll_interval=settings.poll_interval,
    )


def _each(*wakes: Callable[P, None]) -> Callable[P, None]:
    def wake(*told: P.args, **named: P.kwargs) -> None:
        for one in wakes:
            one(*told, **named)

    return wake
