"""Background tasks that are named, watched, restarted, and ended cleanly."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Self

from shared.backoff import backoff
from shared.errors import DaichoError

_logger = logging.getLogger(__name__)


class TaskDied(DaichoError):
    """A background task ended with an error and has not yet been seen well again."""


_AGAIN_SECONDS = 5.0
"""A task that has not ended by then is told again to end."""
_STEADY_SECONDS = 30.0
"""A task that lived this long is restarted at once."""


class Supervisor:
    """Runs background tasks by name; one that dies is logged and restarted with back-off.

    Use as an async context manager: leaving it cancels the tasks and waits for them.
    """

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._failures: dict[str, str] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run `run` until the supervisor is left; it is not expected to return."""
        self._tasks.append(asyncio.create_task(self._keep_running(name, run), name=name))

    async def check(self) -> None:
        """Raise `TaskDied` if a task is down, waiting to be restarted."""
        for name, failure in self._failures.items():
            raise TaskDied(f"{name} has died: {failure}")

    async def __aenter__(self) -> Self:
        """Give itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End every task."""
        pending = set(self._tasks)
        while pending:
            for task in pending:
                task.cancel()
            # A cancellation can be lost to an error of what it interrupts, such as a rollback on a broken connection.
            _done, pending = await asyncio.wait(pending, timeout=_AGAIN_SECONDS)

    async def _keep_running(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        delays = _delays()
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await run()
                failure = "returned unexpectedly"
                _logger.error("%s %s", name, failure)
            except Exception as error:
                failure = type(error).__name__
                _logger.exception("%s died", name)
            if asyncio.get_running_loop().time() - started > _STEADY_SECONDS:
                delays = _delays()
            self._failures[name] = failure
            await asyncio.sleep(next(delays))
            del self._failures[name]


def _delays() -> Iterator[float]:
    return backoff(first=0.2, limit=10.0)
