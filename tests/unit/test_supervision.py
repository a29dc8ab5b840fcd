"""Background tasks end when their supervisor does, whatever becomes of a cancellation."""

import asyncio

import pytest

from shared import supervision
from shared.supervision import Supervisor


async def test_a_task_that_lost_its_cancellation_to_an_error_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_AGAIN_SECONDS", 0.01)
    started = asyncio.Event()
    lost = 0

    async def run() -> None:
        nonlocal lost
        while lost < 2:
            try:
                started.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
        await asyncio.Event().wait()

    async with asyncio.timeout(30), Supervisor() as supervisor:
        supervisor.start("stubborn", run)
        await started.wait()
    assert lost == 2
