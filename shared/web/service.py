"""The common frame of both services' apps."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.middleware import Middleware
from starlette.types import Scope

from shared.identity.verifier import TokenVerifier
from shared.process import on_stop_signal
from shared.supervision import Supervisor
from shared.tracing import Tracing
from shared.web.access import OPEN, AccessRules, Guarded
from shared.web.admission import ALWAYS_ANSWERED, Admission, AdmissionMiddleware
from shared.web.api_docs import add_api_docs
from shared.web.cors import cors
from shared.web.documentation import Service, health
from shared.web.head import HeadMiddleware
from shared.web.health import STOPPING, Check, Progress, health_router
from shared.web.identity import IdentityMiddleware, LoopbackOnly
from shared.web.openapi import complete
from shared.web.origin import OriginGuard
from shared.web.problem_answers import install_problems
from shared.web.problems import Problems
from shared.web.security_headers import AnswerHeaders

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
ServedLifespan = Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, Any]]]

LICENCE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


class _App(FastAPI):
    """An app whose document tells what its service does; it is made when it is first asked for."""

    def __init__(self, service: Service, rules: AccessRules, **settings: Any) -> None:
        super().__init__(
            title=service.title,
            version=version("daicho"),
            license_info=LICENCE,
            servers=[
                {"url": "/", "description": "The service that this document comes from"},
                {"url": service.url, "description": "Where `make up` runs it, unless told otherwise"},
            ],
            openapi_tags=[{"name": one.tag, "description": one.description} for one in service.chapters],
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            **settings,
        )
        self._service = service
        self._rules = rules
        self._problems: Problems = {}

    def install_problems(self, tables: Iterable[Problems]) -> None:
        """Make every error a problem."""
        self._problems = install_problems(self, tables)

    def openapi(self) -> dict[str, Any]:
        """Give the document."""
        if self.openapi_schema is None:
            complete(super().openapi(), self._service, self._problems, self._rules)
        assert self.openapi_schema is not None
        return self.openapi_schema


def create_service(
    service: Service,
    *,
    lifespan: Lifespan,
    routers: Iterable[Guarded],
    problems: Iterable[Problems],
    verifier: TokenVerifier | None,
    admission: Admission,
    drain_seconds: float,
    tracing: Tracing,
    end: Callable[[], None] = lambda: None,
    checks: Mapping[str, Check],
    warnings: Mapping[str, Check] | None = None,
    progress: Callable[[], Mapping[str, Progress]] = dict,
    origins: Sequence[str] = (),
    hosts: Sequence[str] = (),
    inner_middleware: Sequence[Middleware] = (),
) -> FastAPI:
    """Make an app with these routes, `/health`, `/docs`, correlation ids, and a problem for every error.

    With a verifier, routes are reached with access tokens alone, without one on loopback and under `hosts`. Pages of
    `origins` are let in; `inner_middleware` stands behind all that. `end` ends, when the service ends, what has no end
    of its own.
    """
    if verifier is not None:
        checks = {**checks, "token keys": verifier.source.check}
        warnings = {**(warnings or {}), "token keys": verifier.source.require_current}
    guarded = [*routers, Guarded(health_router(checks, warnings or {}, admission.check, progress), OPEN)]
    rules = AccessRules(guarded)
    app = _App(
        replace(service, chapters=[*service.chapters, health([*checks, STOPPING])]),
        rules,
        lifespan=_served(
            lifespan if verifier is None else _with_keys(lifespan, verifier), admission, end, drain_seconds, tracing
        ),
        telemetry=_telemetry(tracing),
        middleware=[
            Middleware(AnswerHeaders),
            Middleware(HeadMiddleware),
            *cors(origins),
            Middleware(OriginGuard, origins),
            Middleware(AdmissionMiddleware, admission),
            Middleware(LoopbackOnly, hosts) if verifier is None else Middleware(IdentityMiddleware, verifier, rules),
            *inner_middleware,
        ],
    )
    app.state.access_rules = rules
    app.state.admission = admission
    app.state.tracing = tracing
    app.state.asks_for_tokens = verifier is not None
    app.install_problems(problems)
    for one in guarded:
        # Not `include_router`, which has the router's routes be looked for twice in each request.
        app.router.routes.extend(one.router.routes)
    add_api_docs(app)
    return app


def _telemetry(tracing: Tracing) -> TelemetryConfig:
    """Have FastAPI make the spans of requests, or none: it would look for a provider in each of them."""
    config: TelemetryConfig = {"tracing": tracing.is_on, "metrics": False, "logs": False, "auto_configure": False}
    return {**config, "tracer_provider": tracing.provider, "exclude": _is_untraced}


def _is_untraced(scope: Scope) -> bool:
    return scope["path"] in ALWAYS_ANSWERED


def _with_keys(lifespan: Lifespan, verifier: TokenVerifier) -> Lifespan:
    """Keep the keys that tokens are verified with current while the service runs."""

    @asynccontextmanager
    async def both(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(app), Supervisor() as supervisor:
            supervisor.start("token keys", verifier.source.run)
            yield

    return both


def _served(
    lifespan: Lifespan, admission: Admission, end: Callable[[], None], drain_seconds: float, tracing: Tracing
) -> ServedLifespan:
    """Tell the server what the service takes on, and the service when the server is told to end."""

    def close() -> None:
        admission.close()
        end()

    @asynccontextmanager
    async def served(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        try:
            async with lifespan(app):
                with on_stop_signal(admission.stop, close, drain_seconds):
                    yield {"admission": admission}
        finally:
            await asyncio.to_thread(tracing.close)

    return served
