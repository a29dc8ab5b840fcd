"""Liveness and readiness."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from shared.errors import DaichoError
from shared.web.problem_answers import problem_response
from shared.web.problems import SHARED_PROBLEMS, Explanation
from shared.web.readiness import NotReady

Check = Callable[[], Awaitable[None]]
"""Returns when all is well; raises a `DaichoError` that says what is not."""


class Progress(BaseModel):
    """How something that follows the log does."""

    state: str = Field(
        description="`live`: it has every event; `catching-up`; `stalled`; `outdated`", examples=["live"]
    )
    lag_events: int = Field(description="Events that it has not applied yet", examples=[0])
    lag_seconds: float = Field(description="The age of the oldest of them", examples=[0.0])


class Found(NamedTuple):
    """What each check found, each warning that is not `ok`, and how far what follows the log is, by name."""

    checks: Mapping[str, str]
    warnings: Mapping[str, str]
    progress: Mapping[str, Progress]

    def told(self) -> Mapping[str, Any]:
        """Give the progress as JSON has it."""
        return {name: one.model_dump() for name, one in self.progress.items()}


_NOTHING = Found({}, {}, {})

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
    progress: dict[str, Progress] = Field(description="How far what follows the log is, by its name")


def health_router(
    checks: Mapping[str, Check],
    warnings: Mapping[str, Check],
    stopping: Check,
    progress: Callable[[], Mapping[str, Progress]] = dict,
) -> APIRouter:
    """Make `/health/live` (the process answers) and `/health/ready` (every named check passes, else 503).

    What a warning raises is told, and does not make the service unready. `stopping` is a check that is made each time;
    `progress` gives what the checks have seen.
    """
    router = APIRouter(prefix="/health", tags=["health"])
    finding = _Finding(checks, warnings, progress)

    @router.get("/live", operation_id="getLiveness", summary="The process answers", response_model=Liveness)
    async def live() -> Response:
        """Tell that the process answers; nothing else is looked at."""
        return JSONResponse({"status": "alive"})

    @router.get("/ready", operation_id="getReadiness", summary="The service can do its work", response_model=Readiness)
    async def ready(request: Request) -> Response:
        """Make every check: of the database, the schemas, and what runs in the background."""
        # Who sends requests here is to know that it stops at once, however long the checks take.
        found = await finding.by_now() if (why := await _run(stopping)) == "ok" else _NOTHING
        results = {**found.checks, STOPPING: await _run(stopping) if why == "ok" else why}
        if any(result != "ok" for result in results.values()):
            error = NotReady(results, found.told())
            return problem_response(request, Explanation(SHARED_PROBLEMS[NotReady], str(error), error.members()))
        told = {"checks": results, "warnings": found.warnings, "progress": found.told()}
        return JSONResponse({"status": "ready", **told})

    return router


class _Finding:
    """What the checks find, for all who ask within a second."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        warnings: Mapping[str, Check],
        progress: Callable[[], Mapping[str, Progress]],
    ) -> None:
        self._checks = checks
        self._warnings = warnings
        self._progress = progress
        self._running: asyncio.Task[Found] | None = None
        self._until = 0.0

    async def by_now(self) -> Found:
        """Give what was found."""
        if self._running is None or (self._running.done() and asyncio.get_running_loop().time() > self._until):
            self._running = asyncio.create_task(self._find())
        return await asyncio.shield(self._running)

    async def _find(self) -> Found:
        found = await asyncio.gather(*map(_run, self._checks.values()))
        results = dict(zip(self._checks, found, strict=True))
        progress = self._progress()
        is_ready = all(result == "ok" for result in results.values())
        warnings = {name: await _run(check) for name, check in self._warnings.items()} if is_ready else {}
        self._until = asyncio.get_running_loop().time() + _REMEMBERED_SECONDS
        return Found(results, {name: result for name, result in warnings.items() if result != "ok"}, progress)


async def _run(check: Check) -> str:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT):
            await check()
    except DaichoError as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {_CHECK_TIMEOUT:g} s"
    return "ok"
