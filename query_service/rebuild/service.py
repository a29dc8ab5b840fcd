"""Rebuilds in the background of the query service."""

import asyncio
import logging
import random
from contextlib import suppress

from query_service.rebuild.rebuilder import Rebuilder
from query_service.rebuild.requests import REQUESTED
from shared.errors import DaichoError

_logger = logging.getLogger(__name__)

_LOOK_SECONDS = 10.0
"""How often it looks for what another process has left undone."""


class RebuildFailed(DaichoError):
    """A rebuild failed; it is tried again, and the live generation is as it was."""


class Rebuilds:
    """Does what is requested until cancelled; a failure is told, and tried again."""

    def __init__(self, rebuilder: Rebuilder) -> None:
        self._rebuilder = rebuilder
        self._woken = asyncio.Event()
        self.failure: str | None = None
        """Why the last rebuild did not come to its end; it is tried again."""

    async def check(self) -> None:
        """Raise `RebuildFailed` if the last rebuild did not come to its end."""
        if self.failure is not None:
            raise RebuildFailed(self.failure)

    def heard(self, payload: str) -> None:
        """Tell that a read database's notification came."""
        if payload == REQUESTED:
            self._woken.set()

    async def run(self) -> None:
        """Look for requests when told, and now and then."""
        while True:
            self._woken.clear()
            seconds = _LOOK_SECONDS
            try:
                if not await self._rebuilder.rebuild():
                    # What the other process leaves alone, as of another release, is to be done here.
                    seconds = random.uniform(0.5, 1.5)
                self.failure = None
            except Exception as error:
                _logger.exception("a rebuild failed; it is tried again, and the live generation is as it was")
                said = f": {error}" if isinstance(error, DaichoError) else ""
                self.failure = f"{type(error).__name__}{said}; the log has the details"
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
