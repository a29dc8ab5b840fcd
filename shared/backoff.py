"""Delays between tries."""

import random
from collections.abc import Iterator


def backoff(*, first: float, limit: float) -> Iterator[float]:
    """Give delays in seconds, without end: doubling from `first` up to `limit`, each less up to half at random."""
    delay = first
    while True:
        yield delay * random.uniform(0.5, 1.0)
        delay = min(delay * 2, limit)
