"""What every benchmark prints first, and how medians and their spread are written."""

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version

from benchmarks import servers
from benchmarks.load import Load

_PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "asyncpg", "pydantic")
_DURABILITY = "current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')"


async def print_machine(url: str) -> None:
    """Name the machine, the versions, and what makes the database durable."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    print(f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {packages}")
    (settings,) = await servers.execute(url, f"SELECT {_DURABILITY}")
    print("PostgreSQL {}, fsync {}, synchronous_commit {}".format(*settings))


def spread(numbers: Sequence[float], digits: int = 2) -> str:
    """Write a median with the least and the greatest."""
    return f"{statistics.median(numbers):,.{digits}f} ({min(numbers):,.{digits}f}-{max(numbers):,.{digits}f})"


def print_loads(name: str, loads: Sequence[Load]) -> None:
    """Write what the rounds of one measured thing came to."""
    median, p99 = (statistics.median(getattr(load, part) for load in loads) for part in ("median", "p99"))
    print(
        f"  {name:15} {spread([load.rate for load in loads], 0)}/s"
        f"  median {median:6.1f} ms  p99 {p99:6.1f} ms  failed {sum(load.failed for load in loads)}"
    )
