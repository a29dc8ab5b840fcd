"""Entry point for an ASGI server: `uvicorn --factory query_service.main:create`."""

from fastapi import FastAPI

from query_service.app import create_app
from query_service.settings import QuerySettings
from shared.process import allow_many_connections, tune_garbage_collector
from shared.settings import load_service


def create() -> FastAPI:
    """Build the service from the environment."""
    app = create_app(load_service(QuerySettings))
    tune_garbage_collector()
    allow_many_connections()
    return app
