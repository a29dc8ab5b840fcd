"""Requests of the command service, and what every problem must have."""

from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import ORDER

JSON = {"Content-Type": "application/json"}


def plain_client(**options: Any) -> httpx.AsyncClient:
    """Give a client for a service on loopback, without TLS: to load certificates takes ten times as long as an answer."""
    return httpx.AsyncClient(verify=False, **options)


async def place(http: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await http.post("/orders", json=ORDER, headers=headers)


async def events(engine: AsyncEngine) -> list[Any]:
    async with engine.connect() as connection:
        return list(await connection.execute(text("SELECT * FROM event_store.events ORDER BY position")))


async def head(engine: AsyncEngine) -> int:
    """Give the number of events in the log."""
    async with engine.connect() as connection:
        return int(await connection.scalar(text("SELECT coalesce(max(position), 0) FROM event_store.events")) or 0)


def assert_problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["status"], problem["type"]) == (status, status, f"urn:daicho:problem:{slug}")
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"]
    assert "X-Correlation-ID" in answer.headers
    if status == 503:
        assert int(answer.headers["Retry-After"]) >= 1
    return problem


PATIENT = {"Prefer": "wait=30"}


async def get(http: httpx.AsyncClient, path: str, position: int, **parameters: Any) -> httpx.Response:
    return await http.get(path, params=parameters, headers={"Event-Position": str(position), **PATIENT})
