"""What every benchmark prints first, and how medians and their spread are written."""

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version

from benchmarks import servers

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
