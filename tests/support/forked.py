"""Programs in Python as processes forked from one that has imported both services: that takes a processor seconds, each time.

They are processes like any other, which signals end, with an environment and an output of their own. What measures memory
or a start, or runs another folder's code, has no use for them.
"""

import asyncio
import multiprocessing
import os
import runpy
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_PRELOADED = [
    "command_service.main", "query_service.main", "shared.web.http_protocol", "sqlalchemy.dialects.postgresql.asyncpg",
    "tests.support.forked", "uvicorn.lifespan.on", "uvicorn.loops.uvloop", "uvicorn.main",
]  # fmt: skip


class Forked:
    """A process of that kind, to be used as asyncio's is."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], output: Path | None) -> None:
        """Run `python -m` with these words."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self._process: ForkServerProcess = context.Process(
            target=_run, args=(list(command), dict(environment), output), daemon=True
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self) -> int:
        """Wait until it has ended; give its exit code."""
        while (code := self.returncode) is None:
            loop, ended = asyncio.get_running_loop(), asyncio.Event()
            loop.add_reader(self._process.sentinel, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(self._process.sentinel)
        return code


def _run(command: Sequence[str], environment: Mapping[str, str], output: Path | None) -> None:
    """Be that program."""
    threading.Thread(target=_end_with_tests, daemon=True).start()
    if output is not None:
        with output.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


def _end_with_tests() -> None:
    tests = multiprocessing.parent_process()
    assert tests is not None
    tests.join()
    os._exit(1)
