"""A fault is a context: entering it does the damage, leaving it undoes what does not mend by itself."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple

from tests.faults.cluster import Cluster, Replica


@dataclass(frozen=True, slots=True)
class Hand:
    """What a fault works with."""

    cluster: Cluster
    randomness: random.Random

    def replica(self, *kinds: str) -> Replica:
        """Choose a service's process."""
        return self.randomness.choice([one for kind in kinds for one in self.cluster.replicas[kind]])

    async def last(self, least: float, most: float) -> None:
        """Let time pass while the fault does its harm."""
        await asyncio.sleep(self.randomness.uniform(least, most))


Told = AsyncIterator[str]
"""A fault yields what exactly it did."""


class FaultKind(NamedTuple):
    """A fault, by name."""

    name: str
    inject: Callable[[Hand], AbstractAsyncContextManager[str]]
