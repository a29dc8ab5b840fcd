"""The signals by which a command is told to end."""

import asyncio
import signal
from collections.abc import Callable
from threading import current_thread, main_thread


def on_end(handle: Callable[[int], None]) -> None:
    """Have the running loop call this with the signal's number when told to end, or when the terminal goes.

    What is ignored stays so, as SIGHUP under nohup.
    """
    if current_thread() is not main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, handle, number)


def stop_event() -> asyncio.Event:
    """Give an event that Ctrl-C sets, and whatever else tells a command to end, for one that ends in an order of its own."""
    stop = asyncio.Event()
    if current_thread() is main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    on_end(lambda _: stop.set())
    return stop
