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

_CHECK_TIMEOUT = 5.0


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


def health_router(checks: Mapping[str, Check], warnings: Mapping[str, Check]) -> APIRouter:
    """Make `/health/live` (the process answers) and `/health/ready` (every named check passes, else 503).

    What a warning raises is told, and does not make the service unready.
    """
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live", operation_id="getLiveness", summary="The process answers", response_model=Liveness)
    async def live() -> Response:
        """Tell that the process answers; nothing else is looked at."""
        return JSONResponse({"status": "alive"})

    @router.get("/ready", operation_id="getReadiness", summary="The service can do its work", response_model=Readiness)
    async def ready(request: Request) -> Response:
        """Make every check: of the database, the schemas, and what runs in the background."""
        results = {name: await _run(check) for name, check in checks.items()}
        if any(result != "ok" for result in results.values()):
            error = NotReady(results)
            return problem_response(request, Explanation(SHARED_PROBLEMS[NotReady], str(error), error.members()))
        told = {name: result for name, check in warnings.items() if (result := await _run(check)) != "ok"}
        return JSONResponse({"status": "ready", "checks": results, "warnings": told})

    return router


async def _run(check: Check) -> str:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT):
            await check()
    except DaichoError as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {_CHECK_TIMEOUT:g} s"
    return "ok"
