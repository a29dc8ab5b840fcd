"""Waiting for a condition, with a deadline and a message that helps."""

import asyncio
from collections.abc import Awaitable, Callable

_PAUSE = 0.02


async def wait_until(condition: Callable[[], Awaitable[bool]], message: str, seconds: float = 30.0) -> None:
    """Return once the condition holds; fail with the message when it does not in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds:g} s: {message}"
        await asyncio.sleep(_PAUSE)
