"""Settings of the whole process, made once by a service's entry point."""

import ctypes
import gc
import signal
import sys

_YOUNG_GENERATION = 50_000
"""Allocations between collections of young objects: about a hundred requests' worth."""


def tune_garbage_collector() -> None:
    """Keep the collector off the request path.

    Requests outlive Python's default young generation (700 allocations) while they wait for PostgreSQL, so
    that the collector would walk every object of the process dozens of times a second; measured at 35 % of
    the time of a loaded command service. What exists now is taken out of its sight, and it runs less often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_GENERATION, 20, 50)


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent is killed, so that nothing is left behind."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
