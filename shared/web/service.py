"""The common frame of both services' apps."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from shared.web.correlation import CorrelationMiddleware
from shared.web.head import HeadMiddleware
from shared.web.health import Check, health_router
from shared.web.problems import Problems, install_problems


def create_service(
    title: str,
    *,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    routers: Iterable[APIRouter],
    problems: Iterable[Problems],
    checks: Mapping[str, Check],
    warnings: Mapping[str, Check] | None = None,
    middleware: Sequence[Middleware] = (),
) -> FastAPI:
    """Make an app with these routes, `/health`, correlation ids, and a problem for every error."""
    app = FastAPI(
        title=title,
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        middleware=[Middleware(CorrelationMiddleware), Middleware(HeadMiddleware), *middleware],
    )
    install_problems(app, problems)
    for router in (*routers, health_router(checks, warnings or {})):
        app.include_router(router)
    return app
