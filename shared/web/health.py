"""Liveness and readiness."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from shared.errors import DaichoError
from shared.web.problems import UNAVAILABLE, problem_response

Check = Callable[[], Awaitable[None]]
"""Returns when all is well; raises a `DaichoError` that says what is not."""

_CHECK_TIMEOUT = 5.0


def health_router(checks: Mapping[str, Check], warnings: Mapping[str, Check]) -> APIRouter:
    """Make `/health/live` (the process answers) and `/health/ready` (every named check passes, else 503).

    What a warning raises is told, and does not make the service unready.
    """
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live", summary="The process answers")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/ready", summary="The service can do its work", responses={503: {"description": "A check fails"}})
    async def ready(request: Request) -> Response:
        results = {name: await _run(check) for name, check in checks.items()}
        failed = [name for name, result in results.items() if result != "ok"]
        if failed:
            return problem_response(request, UNAVAILABLE, f"Not ready: {', '.join(failed)}.", {"checks": results})
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
