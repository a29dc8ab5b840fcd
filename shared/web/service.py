"""The common frame of both services' apps."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from shared.web.api_docs import add_api_docs
from shared.web.correlation import CorrelationMiddleware
from shared.web.documentation import Service, health
from shared.web.head import HeadMiddleware
from shared.web.health import Check, health_router
from shared.web.openapi import complete
from shared.web.problem_answers import install_problems
from shared.web.problems import Problems

LICENCE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


class _App(FastAPI):
    """An app whose document tells what its service does; it is made when it is first asked for."""

    def __init__(self, service: Service, **settings: Any) -> None:
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
            **settings,
        )
        self._service = service
        self._problems: Problems = {}

    def install_problems(self, tables: Iterable[Problems]) -> None:
        """Make every error a problem."""
        self._problems = install_problems(self, tables)

    def openapi(self) -> dict[str, Any]:
        """Give the document."""
        if self.openapi_schema is None:
            complete(super().openapi(), self._service, self._problems)
        assert self.openapi_schema is not None
        return self.openapi_schema


def create_service(
    service: Service,
    *,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    routers: Iterable[APIRouter],
    problems: Iterable[Problems],
    checks: Mapping[str, Check],
    warnings: Mapping[str, Check] | None = None,
    middleware: Sequence[Middleware] = (),
) -> FastAPI:
    """Make an app with these routes, `/health`, `/docs`, correlation ids, and a problem for every error."""
    app = _App(
        replace(service, chapters=[*service.chapters, health(checks)]),
        lifespan=lifespan,
        middleware=[Middleware(CorrelationMiddleware), Middleware(HeadMiddleware), *middleware],
    )
    app.install_problems(problems)
    for router in (*routers, health_router(checks, warnings or {})):
        app.include_router(router)
    add_api_docs(app)
    return app
