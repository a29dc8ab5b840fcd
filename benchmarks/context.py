"""What every benchmark is given: a PostgreSQL, how long to measure, and how to run things in turn."""

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from daicho.development_keys import DevelopmentKeys
from daicho.embedded_postgres import EmbeddedPostgres

T = TypeVar("T")

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Context:
    """One run: its legs last `seconds`, and each is run `rounds` times. `profiles` is a folder for profiles, if wanted."""

    postgres: EmbeddedPostgres
    keys: DevelopmentKeys
    rounds: int
    seconds: float
    profiles: Path | None = None
    randomness: random.Random = field(default_factory=lambda: random.Random(7))

    def environment(self, url: str, **more: str) -> dict[str, str]:
        """Give what runs a service on a database, asking for access tokens."""
        return {"DAICHO_DATABASE_URL": url, **self.keys.variables, **more}

    def tokens(self, count: int) -> list[str]:
        """Give access tokens of so many clients."""
        scopes = ("orders:write", "orders:read", "operations")
        return [self.keys.sign(f"client-{number}", scopes, _DAY) for number in range(count)]

    async def in_turn(self, legs: Mapping[str, Callable[[], Awaitable[T]]]) -> dict[str, list[T]]:
        """Run each leg once in every round, in an order drawn anew for each; give what each gave, by round."""
        found: dict[str, list[T]] = {name: [] for name in legs}
        for number in range(self.rounds):
            order = list(legs)
            self.randomness.shuffle(order)
            for name in order:
                started = time.perf_counter()
                found[name].append(await legs[name]())
                print(f"  round {number + 1}: {name}, {time.perf_counter() - started:.1f} s", flush=True)
        return found
