"""Runs a service's app: uvicorn with what the service needs of it, in one place."""

import math
import signal
import sys
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import DaichoError
from shared.process import allow_many_connections, tune_garbage_collector

_KEEP_ALIVE: Final = 75
"""Seconds for which a connection that is not used is kept: more than proxies do, so that it is they who end it."""


def told_plainly(app: FastAPI) -> ASGIApp:
    """Have what keeps a service from starting told in a line, where it is one of our own errors."""

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            error = sys.exception()
            if message["type"] == "lifespan.startup.failed" and isinstance(error, DaichoError):
                message["message"] = str(error)
            await send(message)

        await app(scope, receive, tell if scope["type"] == "lifespan" else send)

    return told


class _Server(uvicorn.Server):
    """Ends with code 0 when it is told to end; uvicorn's own sends itself the signal once more."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as uvicorn has it
        """End in order; on a second Ctrl-C at once."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def run(app: FastAPI, host: str, port: int, grace_seconds: float) -> None:
    """Serve until a signal ends it, and then what is being worked on for so many seconds at most."""
    tune_garbage_collector()
    allow_many_connections()
    config = uvicorn.Config(
        told_plainly(app),
        host=host,
        port=port,
        http="shared.web.http_protocol:BoundedHttp",
        ws="none",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(grace_seconds),
    )
    _Server(config).run()
