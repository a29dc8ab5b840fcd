"""`GET /orders/{id}`, from memory and from the database, against a bare endpoint that returns the same bytes."""

import statistics

import httpx

from benchmarks import servers
from benchmarks.bare_app import ANSWER
from benchmarks.load import CONNECTIONS, generator, get, order
from benchmarks.report import print_loads, spread
from daicho.embedded_postgres import EmbeddedPostgres

ROUNDS = 5
SECONDS = 4.0


async def run(postgres: EmbeddedPostgres) -> None:
    """Measure all three in turn; the one that reads the database has a cache of no bytes."""
    url = await servers.fresh_database(postgres, "queries")
    environment = {"DAICHO_DATABASE_URL": url}
    async with servers.app("command_service.main:create", environment, "/health/ready") as command:
        placed = await _place(command)
    path, position = placed.headers["Location"], {"Event-Position": placed.headers["Event-Position"]}
    async with (
        servers.app("query_service.main:create", environment, "/health/ready") as cached,
        servers.app(
            "query_service.main:create", {**environment, "DAICHO_ANSWER_CACHE_BYTES": "0"}, "/health/ready"
        ) as uncached,
    ):
        bodies = [await _get(service + path, position) for service in (cached, uncached)]
        async with servers.app("benchmarks.bare_app:create", {ANSWER: bodies[0]}, "/none") as bare:
            if [await _get(bare + path, {})] * 2 != bodies:
                raise AssertionError("they do not return the same bytes")
            await _compare({"bare endpoint": bare + path, "from memory": cached + path, "from tables": uncached + path})


async def _compare(urls: dict[str, str]) -> None:
    print(f"\nGET /orders/{{id}}, load by {generator()} on {CONNECTIONS} connections, {ROUNDS} × {SECONDS:g} s in turn")
    for url in urls.values():
        await get(url, 1.0)
    rounds = [{name: await get(url, SECONDS) for name, url in urls.items()} for _ in range(ROUNDS)]
    for name in urls:
        print_loads(name, [loads[name] for loads in rounds])
    for name in list(urls)[1:]:
        p99 = statistics.median(loads[name].p99 / loads["bare endpoint"].p99 for loads in rounds)
        rates = [loads[name].rate / loads["bare endpoint"].rate for loads in rounds]
        print(f"  {name} / bare endpoint: rates {spread(rates)}, p99s {p99:.1f}")


async def _place(command: str) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        headers = {"Content-Type": "application/json"}
        return (await http.post(f"{command}/orders", content=order(), headers=headers)).raise_for_status()


async def _get(url: str, headers: dict[str, str]) -> str:
    async with httpx.AsyncClient() as http:
        return (await http.get(url, headers=headers)).raise_for_status().text
