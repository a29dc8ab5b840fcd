"""`POST /orders` against a bare endpoint of the same shape, on a fresh log and on a grown one."""

import statistics

from benchmarks import servers
from benchmarks.load import CONNECTIONS, generator, place_orders
from benchmarks.report import print_loads, spread
from daicho.embedded_postgres import EmbeddedPostgres

ROUNDS = 5
SECONDS = 5.0
GROWN = 50_000


async def run(postgres: EmbeddedPostgres) -> None:
    """Measure both in turn."""
    url = await servers.fresh_database(postgres, "commands")
    print(
        f"\none uvicorn worker each, load by {generator()} on {CONNECTIONS} connections, {ROUNDS} × {SECONDS:g} s in turn"
    )
    async with (
        servers.app("benchmarks.bare_app:create", {}, "/none") as bare,
        servers.app("command_service.main:create", {"DAICHO_DATABASE_URL": url}, "/health/ready") as command,
    ):
        await _compare("fresh log", bare, command)
        while (events := await _events(url)) < GROWN:
            await place_orders(command, SECONDS)
        await _compare(f"after {events:,} orders", bare, command)
    print(f"  {await _events(url):,} orders in the log at the end")


async def _compare(title: str, bare: str, command: str) -> None:
    """Measure both in turn; print medians and spread, and the median of the ratios pair by pair."""
    for url in (bare, command):
        await place_orders(url, 1.0)
    pairs = [(await place_orders(bare, SECONDS), await place_orders(command, SECONDS)) for _ in range(ROUNDS)]
    print(f"POST /orders, {title}")
    for name, loads in (("bare endpoint", [a for a, _ in pairs]), ("command service", [b for _, b in pairs])):
        print_loads(name, loads)
    p99 = statistics.median(b.p99 / a.p99 for a, b in pairs)
    print(f"  ratio of rates  {spread([b.rate / a.rate for a, b in pairs])}, of p99s {p99:.1f}")


async def _events(url: str) -> int:
    ((count,),) = await servers.execute(url, "SELECT count(*) FROM event_store.events")
    return int(str(count))
