"""The two services as processes, supervised: one that dies is reported and started again, with back-off."""

import asyncio
import errno
import logging
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from daicho.errors import CannotListen, PortInUse, ServiceFailed
from shared.backoff import backoff
from shared.process import die_with_parent

_logger = logging.getLogger(__name__)

_END_SECONDS = 10.0
"""For what a service does besides when it ends."""
_NO_DRAIN = {"DAICHO_DRAIN_SECONDS": "0"}
"""There is no other replica to go to."""
_READY_SECONDS = 60.0
_STEADY_SECONDS = 30.0
"""A service that lived this long is started again at once."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service: how to run it and where it answers."""

    name: str
    package: str
    host: str
    port: int
    port_variable: str

    @property
    def url(self) -> str:
        """Where it answers."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def require_free_port(self) -> None:
        """Raise `PortInUse` if something else listens there, `CannotListen` if nothing can."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise PortInUse(self.host, self.port, self.port_variable) from None
                raise CannotListen(self.host, self.port, error.strerror or str(error)) from None

    async def run(self, environment: Mapping[str, str], stop_seconds: float) -> None:
        """Keep it running until cancelled, with these variables added to its environment; then end it.

        It is killed if it takes much longer than so many seconds to end.
        """
        delays = backoff(first=0.5, limit=10.0)
        while True:
            process = await self._start(environment)
            started = asyncio.get_running_loop().time()
            try:
                code = await process.wait()
            finally:
                await _end(process, stop_seconds + _END_SECONDS)
            if asyncio.get_running_loop().time() - started > _STEADY_SECONDS:
                delays = backoff(first=0.5, limit=10.0)
            delay = next(delays)
            _logger.error("the %s service ended with code %d; starting it again in %.1f s", self.name, code, delay)
            await asyncio.sleep(delay)

    async def wait_ready(self) -> None:
        """Wait until it says that it is ready.

        Raises `ServiceFailed` after a minute.
        """
        reason = "no answer"
        async with httpx.AsyncClient() as client:
            for _ in range(int(_READY_SECONDS / 0.1)):
                try:
                    answer = await client.get(f"{self.url}/health/ready", timeout=5.0)
                    if answer.is_success:
                        return
                    reason = answer.json().get("detail", "")
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
        raise ServiceFailed(self.name, reason)

    async def _start(self, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", self.package,
            env={**os.environ, **environment, "DAICHO_HOST": self.host, self.port_variable: str(self.port), **_NO_DRAIN},
            start_new_session=True,  # Ctrl-C reaches the supervisor, which ends the services in order.
            preexec_fn=die_with_parent,
        )  # fmt: skip


async def _end(process: asyncio.subprocess.Process, seconds: float) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
