"""Who is cancelled while it asks JetStream ends, though the client may lose the cancellation."""

import asyncio
from contextlib import suppress

import pytest

from shared.jetstream.connection import translate_errors


async def test_a_cancellation_that_was_swallowed_is_heeded() -> None:
    begun = asyncio.Event()

    async def ask() -> None:
        # As `asyncio.wait_for` does where the answer has come too.
        with translate_errors(), suppress(asyncio.CancelledError):
            begun.set()
            await asyncio.Event().wait()

    asking = asyncio.create_task(ask())
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_timeout_that_was_swallowed_is_told() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            with translate_errors(), suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
