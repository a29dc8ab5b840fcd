"""Liveness and readiness."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from shared.errors import DaichoError
from shared.web.problem_answers import problem_response
from shared.web.problems import SHARED_PROBLEMS, Explanation
from shared.web.readiness import NotReady

Check = Callable[[], Awaitable[None]]
"""Returns when all is well; raises a `DaichoError` that says what is not."""

Results = tuple[Mapping[str, str], Mapping[str, str]]
STOPPING = "not stopping"
"""The check that fails from the moment on when the service is told to end."""

_CHECK_TIMEOUT = 5.0
_REMEMBERED_SECONDS = 1.0
"""For which all are told what the checks found, so that nobody can have the database asked more often."""


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["alive"] = Field(description="Always this", examples=["alive"])


class Readiness(BaseModel):
    """The service can do its work."""

    status: Literal["ready"] = Field(description="Always this; a service that is not ready answers 503")
    checks: dict[str, str] = Field(description="`ok`, by the name of the check", examples=[{"schema": "ok"}])
    warnings: dict[str, str] = Field(
        description="What should be looked at, and keeps nothing from working",
        examples=[{"parked": "2 events are parked: `daicho parked list` tells why"}],
    )


def health_router(checks: Mapping[str, Check], warnings: Mapping[str, Check], stopping: Check) -> APIRouter:
    """Make `/health/live` (the process answers) and `/health/ready` (every named check passes, else 503).

    What a warning raises is told, and does not make the service unready. `stopping` is a check that is made each time.
    """
    router = APIRouter(prefix="/health", tags=["health"])
    found = _Found(checks, warnings)

    @router.get("/live", operation_id="getLiveness", summary="The process answers", response_model=Liveness)
    async def live() -> Response:
        """Tell that the process answers; nothing else is looked at."""
        return JSONResponse({"status": "alive"})

    @router.get("/ready", operation_id="getReadiness", summary="The service can do its work", response_model=Readiness)
    async def ready(request: Request) -> Response:
        """Make every check: of the database, the schemas, and what runs in the background."""
        checked, told = await found.by_now()
        results = {**checked, STOPPING: await _run(stopping)}
        if any(result != "ok" for result in results.values()):
            error = NotReady(results)
            return problem_response(request, Explanation(SHARED_PROBLEMS[NotReady], str(error), error.members()))
        return JSONResponse({"status": "ready", "checks": results, "warnings": told})

    return router


class _Found:
    """What the checks found, for all who ask within a second."""

    def __init__(self, checks: Mapping[str, Check], warnings: Mapping[str, Check]) -> None:
        self._checks = checks
        self._warnings = warnings
        self._running: asyncio.Task[Results] | None = None
        self._until = 0.0

    async def by_now(self) -> Results:
        """Give what each check found, and each warning that is not `ok`."""
        if self._running is None or (self._running.done() and asyncio.get_running_loop().time() > self._until):
            self._running = asyncio.create_task(self._find())
        return await asyncio.shield(self._running)

    async def _find(self) -> Results:
        results = {name: await _run(check) for name, check in self._checks.items()}
        is_ready = all(result == "ok" for result in results.values())
        warnings = {name: await _run(check) for name, check in self._warnings.items()} if is_ready else {}
        self._until = asyncio.get_running_loop().time() + _REMEMBERED_SECONDS
        return results, {name: result for name, result in warnings.items() if result != "ok"}


async def _run(check: Check) -> str:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT):
            await check()
    except DaichoError as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {_CHECK_TIMEOUT:g} s"
    return "ok"
