"""The command service's composition root."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service import documentation, problems
from command_service.aggregate import Aggregate
from command_service.bulk import BulkRequests
from command_service.command_handler import CommandHandler
from command_service.durability import HEARING
from command_service.group_commit import GroupCommit, Limits
from command_service.operations_api import router as operations_router
from command_service.orders.aggregate import ORDERS
from command_service.postgres_snapshots import PostgresSnapshotStore
from command_service.postgres_store import LOOKING_UP, PostgresEventStore
from command_service.repository import Repository
from command_service.settings import CommandSettings
from command_service.snapshot_taker import SnapshotTaker
from command_service.state_cache import StateCache
from command_service.telemetry import AppendTelemetry, CommandTelemetry
from shared.database import create_engine
from shared.metrics import Counts, create_registry, gauge
from shared.schema import EVENT_STORE
from shared.supervision import Supervisor
from shared.tracing import Tracing
from shared.web.access import OPERATIONS, Guarded, needs
from shared.web.admission import BODY_BYTES, Admission, Bounds
from shared.web.metrics import serve_metrics
from shared.web.service import create_service

AGGREGATES: Sequence[Aggregate] = (ORDERS,)


def create_app(settings: CommandSettings, aggregates: Sequence[Aggregate] = AGGREGATES) -> FastAPI:
    """Build the service; it connects when its lifespan starts, and refuses to start on a schema that does not serve it."""
    engine = _engine(settings, "daicho-command", settings.database_pool_size, LOOKING_UP)
    # The one writer has a connection of its own, which no read can keep it from.
    append_engine = _engine(settings, "daicho-append", 1, HEARING)
    tracing, metrics = Tracing.of(settings.service, settings.traces), create_registry()
    telemetry = AppendTelemetry(metrics, tracing)
    store = PostgresEventStore(engine, append_engine, telemetry.had_turn)
    group_commit = GroupCommit(store, _limits(settings), time.monotonic, telemetry)
    snapshots = PostgresSnapshotStore(engine)
    snapshot_taker = SnapshotTaker(snapshots)
    cache = StateCache(settings.state_cache_bytes)
    supervisor = Supervisor()

    def command_handler(aggregate: Aggregate) -> CommandHandler[Any, Any, Any]:
        decider, events, state = aggregate.decider, aggregate.events, aggregate.state
        repository = Repository(decider, events, state, store, snapshots, snapshot_taker, cache)
        return CommandHandler(decider, repository, store, group_commit.append, lambda: datetime.now(UTC))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            # Both connect, so that the first command need not wait for it.
            for one in (engine, append_engine):
                await EVENT_STORE.require(one)
            async with supervisor:
                supervisor.start("group commit", group_commit.run)
                supervisor.start("snapshots", snapshot_taker.run)
                yield
                await group_commit.close()
        finally:
            await append_engine.dispose()
            await engine.dispose()

    app = create_service(
        documentation.service(aggregates),
        lifespan=lifespan,
        routers=[
            *(Guarded(aggregate.router, needs(aggregate.scope)) for aggregate in aggregates),
            Guarded(operations_router, needs(OPERATIONS)),
        ],
        problems=[problems.PROBLEMS, *(aggregate.problems for aggregate in aggregates)],
        verifier=settings.verifier(),
        admission=Admission(_bounds(settings)),
        drain_seconds=settings.drain_seconds,
        tracing=tracing,
        checks={"schema": lambda: EVENT_STORE.require(engine), "background tasks": supervisor.check},
        origins=settings.cors_origins,
        hosts=settings.allowed_hosts,
    )
    serve_metrics(app, metrics, {"commands": engine, "append": append_engine})
    _tell_of_memory(metrics, cache, group_commit)
    app.state.command_telemetry = CommandTelemetry(metrics)
    app.state.command_deadline = settings.command_deadline
    app.state.max_body_bytes, app.state.max_bulk_bytes = settings.max_body_bytes, settings.max_bulk_bytes
    app.state.bulk_requests = _bulk_requests(settings, group_commit)
    app.state.command_handlers = {aggregate.aggregate_type: command_handler(aggregate) for aggregate in aggregates}
    return app


def _engine(
    settings: CommandSettings, name: str, pool_size: int, server_settings: Mapping[str, str] | None = None
) -> AsyncEngine:
    url = settings.database_url.get_secret_value()
    # PostgreSQL gives a statement up in time for its command to be told that nothing was done.
    timeout = settings.command_deadline / 2
    return create_engine(
        url,
        application_name=name,
        pool_size=pool_size,
        statement_timeout=timeout,
        server_settings=server_settings,
    )


def _tell_of_memory(metrics: CollectorRegistry, cache: StateCache, group_commit: GroupCommit) -> None:
    found = {"hit": lambda: cache.hits, "miss": lambda: cache.misses}
    metrics.register(Counts("daicho_state_cache_lookups", "States of aggregates that commands needed", "result", found))
    gauge(metrics, "daicho_state_cache_bytes", "Memory that states take", lambda: cache.bytes)
    gauge(metrics, "daicho_append_queue_commits", "Commits that wait to be sent now", lambda: group_commit.waiting)


def _bounds(settings: CommandSettings) -> Bounds:
    return Bounds(
        requests=settings.max_requests,
        connections=settings.max_connections,
        receive_seconds=settings.receive_seconds,
        body_bytes=max(BODY_BYTES, settings.bulk_requests * settings.max_bulk_bytes + 16 * settings.max_body_bytes),
    )


def _limits(settings: CommandSettings) -> Limits:
    return Limits(
        queue_commits=settings.queue_commits,
        batch_commits=settings.batch_commits,
        deadline=settings.command_deadline,
    )


def _bulk_requests(settings: CommandSettings, group_commit: GroupCommit) -> BulkRequests:
    """Leave half of the queue to commands that come by themselves."""
    room = max(1, settings.queue_commits // 2)
    turns = min(settings.bulk_requests, room)
    return BulkRequests(group_commit.append_all, turns, room // turns, settings.command_deadline)
