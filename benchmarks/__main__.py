"""`make bench`: prints each result as a ratio of two things measured in turn in one run (A B A B …)."""

import asyncio
import os
import platform
import statistics
import sys
from importlib.metadata import version

from benchmarks import servers
from benchmarks.load import CONNECTIONS, Load, generator, place_orders

ROUNDS = 5
SECONDS = 5.0
GROWN = 50_000


async def main() -> int:
    """Measure `POST /orders` against the bare app, on a fresh log and on a grown one."""
    with servers.postgres() as postgres:
        url = await servers.fresh_database(postgres, "bench")
        (settings,) = await servers.execute(
            url,
            "SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')",
        )
        _print_setting(settings)
        environment = {"DAICHO_DATABASE_URL": url}
        async with (
            servers.app("benchmarks.bare_app:create", {}, "/none") as bare,
            servers.app("command_service.main:create", environment, "/health/ready") as command,
        ):
            fresh = await _compare("fresh log", bare, command)
            while (events := await _events(url)) < GROWN:
                await place_orders(command, SECONDS)
            grown = await _compare(f"after {events:,} orders", bare, command)
        print(f"\nratio, fresh {fresh:.2f}, grown {grown:.2f}; {await _events(url):,} orders in the log at the end")
    return 0


async def _compare(title: str, bare: str, command: str) -> float:
    """Measure both in turn; print medians and spread; give the median of the ratios pair by pair."""
    for url in (bare, command):
        await place_orders(url, 1.0)
    pairs = [(await place_orders(bare, SECONDS), await place_orders(command, SECONDS)) for _ in range(ROUNDS)]
    print(f"\nPOST /orders, {title}")
    for name, loads in (("bare endpoint", [a for a, _ in pairs]), ("command service", [b for _, b in pairs])):
        _print_loads(name, loads)
    ratios = [b.rate / a.rate for a, b in pairs]
    p99 = statistics.median(b.p99 / a.p99 for a, b in pairs)
    print(f"  ratio of rates  {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}), of p99s {p99:.1f}")
    return statistics.median(ratios)


def _print_loads(name: str, loads: list[Load]) -> None:
    rates = [load.rate for load in loads]
    median, p99 = (statistics.median(getattr(load, part) for load in loads) for part in ("median", "p99"))
    print(
        f"  {name:15} {statistics.median(rates):8,.0f}/s ({min(rates):,.0f}-{max(rates):,.0f})"
        f"  median {median:6.1f} ms  p99 {p99:6.1f} ms  failed {sum(load.failed for load in loads)}"
    )


def _print_setting(settings: tuple[object, ...]) -> None:
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("fastapi", "uvicorn", "sqlalchemy", "asyncpg", "pydantic")
    )
    print(f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {packages}")
    print("PostgreSQL {}, fsync {}, synchronous_commit {}".format(*settings))
    print(
        f"one uvicorn worker each, load by {generator()} on {CONNECTIONS} connections, {ROUNDS} × {SECONDS:g} s in turn"
    )


async def _events(url: str) -> int:
    ((count,),) = await servers.execute(url, "SELECT count(*) FROM event_store.events")
    return int(str(count))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
