"""What concerns the whole process of a service: its settings, made once by the entry point, and its end."""

import asyncio
import ctypes
import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_YOUNG_GENERATION = 50_000
"""Allocations between collections of young objects: about a hundred requests' worth."""
_FILES = 65_536


def tune_garbage_collector() -> None:
    """Keep the collector off the request path.

    Requests outlive Python's default young generation (700 allocations) while they wait for PostgreSQL, so
    that the collector would walk every object of the process dozens of times a second; measured at 35 % of
    the time of a loaded command service. What exists now is taken out of its sight, and it runs less often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_GENERATION, 20, 50)


def allow_many_connections() -> None:
    """Let the process open more files than the usual 1,024, if the system allows it more: each connection is one."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - there is none on Windows

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def on_stop_signal(stop: Callable[[], None], end: Callable[[], None], delay: float = 0.0) -> Iterator[None]:
    """While this lasts, a signal that tells the process to end calls `stop`, and after so many seconds `end`.

    Only then is called what is called now: an ASGI server, which lets no one in from then on. A second signal ends the
    delay. All are called on the event loop.
    """
    loop = asyncio.get_running_loop()
    before: dict[int, Callable[[int, FrameType | None], object]] = {}
    timers: list[asyncio.TimerHandle] = []

    def end_now(number: int) -> None:
        end()
        before[number](number, None)

    def begin(number: int) -> None:
        stop()
        if delay and not timers:
            timers.append(loop.call_later(delay, end_now, number))
            return
        for timer in timers:
            timer.cancel()
        end_now(number)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                before[number] = handler
                signal.signal(number, lambda number, _: loop.call_soon_threadsafe(begin, number))
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for one, handler in before.items():
            signal.signal(one, handler)


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent is killed, so that nothing is left behind."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
