"""Both services in this process, on a test's database, spoken to over ASGI."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from command_service.app import create_app as create_command_app
from command_service.settings import CommandSettings
from query_service.app import create_app as create_query_app
from query_service.settings import QuerySettings

ORDER: dict[str, Any] = {
    "customer_name": "Aiko Tanaka",
    "items": [
        {"product_name": "Sencha", "quantity": 2, "unit_price": "12.50"},
        {"product_name": "Teapot", "quantity": 1, "unit_price": "48.00"},
    ],
    "shipping_address": {
        "recipient": "Aiko Tanaka",
        "line1": "1-2-3 Ginza",
        "city": "Tokyo",
        "postal_code": "104-0061",
        "country": "JP",
    },
}


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Run an app's lifespan and give a client of it."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        yield http


def command_settings(url: str, **changes: Any) -> CommandSettings:
    """Give settings with a deadline that no test comes to unless it means to."""
    return CommandSettings(**{"database_url": SecretStr(url), "command_deadline": 60, **changes})


def query_settings(url: str, **changes: Any) -> QuerySettings:
    """Give settings with one process that loads a rebuild: to start each takes longer than it has work."""
    return QuerySettings(**{"database_url": SecretStr(url), "poll_interval": 0.2, "rebuild_processes": 1, **changes})


@asynccontextmanager
async def command_service(url: str, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Run the command service on a database."""
    async with running(create_command_app(command_settings(url, **changes))) as client:
        yield client


@asynccontextmanager
async def query_service(url: str, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Run the query service on a database."""
    async with running(create_query_app(query_settings(url, **changes))) as client:
        yield client
