"""What Prometheus is told of either service."""

from collections.abc import Mapping
from functools import partial

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Gauge, generate_latest
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from shared.metrics import Counts, gauge
from shared.web.admission import Admission


def serve_metrics(app: FastAPI, registry: CollectorRegistry, engines: Mapping[str, AsyncEngine]) -> None:
    """Have `metrics_response` answer with these, and with how much there is to do and which connections are in use."""
    app.state.metrics = registry
    admission: Admission = app.state.admission
    told = "Requests and connections that were refused at once"
    registry.register(Counts("daicho_requests_refused", told, "reason", {"overloaded": lambda: admission.shed}))
    gauge(registry, "daicho_requests_in_flight", "Requests worked on now", lambda: admission.in_flight)
    gauge(registry, "daicho_requests_waiting", "Requests that wait for something else now", lambda: admission.aside)
    in_use = Gauge("daicho_pool_in_use", "Connections of a pool in use now", ["pool"], registry=registry)
    size = Gauge("daicho_pool_size", "Connections that a pool may have", ["pool"], registry=registry)
    for name, engine in engines.items():
        in_use.labels(name).set_function(partial(_in_use, engine))
        size.labels(name).set_function(partial(_size, engine))


def metrics_response(request: Request) -> Response:
    """Write the app's metrics in Prometheus's text format 0.0.4."""
    return Response(generate_latest(request.app.state.metrics), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _in_use(engine: AsyncEngine) -> int:
    return _pool(engine).checkedout()


def _size(engine: AsyncEngine) -> int:
    return _pool(engine).size()


def _pool(engine: AsyncEngine) -> QueuePool:
    """Give the pool of now: an engine that is disposed of has another one afterwards."""
    assert isinstance(engine.pool, QueuePool)
    return engine.pool
