"""Readiness is open to anybody, so that it must cost nearly nothing however often it is asked for."""

import asyncio

import httpx
from fastapi import FastAPI

from shared.errors import DatabaseUnavailable, Overloaded
from shared.web.health import health_router


async def test_all_who_ask_at_once_share_one_run_of_the_checks() -> None:
    runs, go_on, is_stopping = 0, asyncio.Event(), False

    async def check() -> None:
        nonlocal runs
        runs += 1
        await go_on.wait()
        raise DatabaseUnavailable("It is away.")

    async def stopping() -> None:
        if is_stopping:
            raise Overloaded("It is stopping.")

    app = FastAPI()
    app.include_router(health_router({"database": check}, {}, stopping))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        asked = [asyncio.create_task(http.get("/health/ready")) for _ in range(100)]
        await asyncio.wait(asked, timeout=0.2)
        go_on.set()
        answers = [*await asyncio.gather(*asked), await http.get("/health/ready")]
        assert {answer.status_code for answer in answers} == {503}
        assert answers[-1].json()["checks"] == {"database": "It is away.", "not stopping": "ok"}
        assert runs == 1
        is_stopping = True
        assert (await http.get("/health/ready")).json()["checks"] == {"not stopping": "It is stopping."}
