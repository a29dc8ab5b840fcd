"""Entry point for an ASGI server: `uvicorn --factory command_service.main:create`."""

from fastapi import FastAPI

from command_service.app import create_app
from command_service.settings import CommandSettings
from shared.process import allow_many_connections, tune_garbage_collector
from shared.settings import load_service


def create() -> FastAPI:
    """Build the service from the environment."""
    app = create_app(load_service(CommandSettings))
    tune_garbage_collector()
    allow_many_connections()
    return app
