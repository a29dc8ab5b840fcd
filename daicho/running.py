"""Runs a command: its errors and the signals that end it become exit codes."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import typer

from daicho.errors import OperatorError
from daicho.signals import on_end
from shared.errors import DaichoError, DatabaseUnavailable

_ENDED_BY = 128
"""Plus the signal's number: the exit code of a command that a signal ended."""


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a command; an error of ours is one line and its exit code."""
    signals: list[int] = []
    try:
        asyncio.run(_until_signalled(work, signals))
    except DaichoError as error:
        reason = f": {error.__cause__}" if isinstance(error, DatabaseUnavailable) and error.__cause__ else ""
        typer.echo(f"daicho: {error}{reason}".splitlines()[0], err=True)
        raise typer.Exit(error.exit_code if isinstance(error, OperatorError) else 1) from None
    except KeyboardInterrupt:
        raise typer.Exit(_ENDED_BY + signal.SIGINT) from None
    except asyncio.CancelledError:
        raise typer.Exit(_ENDED_BY + signals[0]) from None


async def _until_signalled(work: Coroutine[Any, Any, None], signals: list[int]) -> None:
    """Run a command, and end it as Ctrl-C does when told to end or its terminal goes; append which signal it was."""
    task = asyncio.current_task()
    assert task is not None

    def end(number: int) -> None:
        signals.append(number)
        task.cancel()

    on_end(end)
    await work
