"""Where a run took place: the machine, the versions, and what makes the database durable."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from benchmarks import pgbench, servers

_PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "pydantic", "sqlalchemy", "asyncpg", "eventsourcing")
_SETTINGS = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
)


async def conditions(url: str, rounds: int, seconds: float) -> dict[str, str]:
    """Name what a reader needs to judge the numbers, or to repeat them."""
    query = ", ".join(f"current_setting('{name}')" for name in _SETTINGS)
    (row,) = await servers.execute(
        url, f"SELECT {query}, (SELECT setting FROM pg_settings WHERE name = 'data_directory')"
    )
    postgres = dict(zip(_SETTINGS, row, strict=False))
    if (postgres["fsync"], postgres["synchronous_commit"]) != ("on", "on"):
        raise RuntimeError("the database is not durable")
    return {
        "Date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Commit": _commit(),
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "Memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "Kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Disk": _disk(Path(str(row[-1]))),
        "Load before the run": f"{os.getloadavg()[0]:.2f} (one minute's average)",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Libraries": ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name))),
        "PostgreSQL": ", ".join(f"{name.replace('server_version', 'version')} {value}" for name, value in postgres.items()),
        "pgbench": await pgbench.version(),
        "Rounds": f"{rounds}, legs of {seconds:g} s, their order drawn anew for each round",
    }  # fmt: skip


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _disk(folder: Path) -> str:
    """Name the file system that the database is on."""
    mounts = sorted(psutil.disk_partitions(all=True), key=lambda one: len(one.mountpoint), reverse=True)
    return next((one.fstype for one in mounts if folder.is_relative_to(one.mountpoint)), "unknown")


def _commit() -> str:
    command = ("git", "describe", "--always", "--dirty", "--exclude=*")
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
