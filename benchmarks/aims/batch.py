"""Orders placed by the hundred in one request (`/orders/batch`, a command a line), beside one order a request."""

import json
from functools import partial
from typing import NamedTuple

import httpx
import psutil

from benchmarks import servers
from benchmarks.aims.place_orders import generator_cost
from benchmarks.bodies import ORDER, placing
from benchmarks.context import Context
from benchmarks.load import CONNECTIONS, Load, Requests, send
from benchmarks.results import Aim, Result, ratio, series

_PATH = "/orders/batch"
_LINES = 500
_AT_ONCE = 4
_NDJSON = {"Content-Type": "application/x-ndjson"}
_TITLE = "Placing orders in bulk over HTTP"
_ALONE, _BULK = "one a request", "in bulk"


class _Placed(NamedTuple):
    """One leg: orders a second, and microseconds of the service's CPU time for each."""

    load: Load
    rate: float
    cpu: float


async def measure(context: Context) -> list[Result]:
    """Measure both in turn."""
    url = await servers.fresh_database(context.postgres, "batch")
    async with servers.service("command", context.environment(url), context.profiles) as (daicho, process):
        tokens = context.tokens(CONNECTIONS)
        if not await _exists(daicho, tokens[0]):
            return [Result(name="batch", title=_TITLE, skipped=f"the command service has no {_PATH}")]
        line = json.dumps({"command": "PlaceOrder", "key": "{key}", **ORDER}) + "\n"
        bulk = Requests(
            urls=(daicho,), path=_PATH, headers=_NDJSON, body=line, lines=_LINES, tokens=tuple(tokens), connections=_AT_ONCE
        )  # fmt: skip
        legs = {_ALONE: placing(daicho, tokens=tokens), _BULK: bulk}
        for requests in legs.values():
            await send(requests, 1.0)
        place = partial(_place, seconds=context.seconds, url=url, service=psutil.Process(process))
        placed = await context.in_turn({name: partial(place, requests) for name, requests in legs.items()})
    rates = {name: [leg.rate for leg in found] for name, found in placed.items()}
    cpu = [series(f"CPU time of an order, {name}", "µs", [leg.cpu for leg in found]) for name, found in placed.items()]
    return [
        Result(
            name="batch",
            title=_TITLE,
            settings=f"one a request on {CONNECTIONS} connections; {_LINES} a request on {_AT_ONCE}",
            series=(*(series(name, "orders/s", found) for name, found in rates.items()), *cpu),
            ratios=(ratio("in bulk / one a request", rates[_BULK], rates[_ALONE], Aim(number=4, bound=5.0)),),
            notes=(generator_cost([leg.load for found in placed.values() for leg in found]),),
        )
    ]


async def _exists(daicho: str, token: str) -> bool:
    async with httpx.AsyncClient() as http:
        headers = {**_NDJSON, "Authorization": f"Bearer {token}"}
        return (await http.post(daicho + _PATH, content=b"", headers=headers)).status_code not in (404, 405)


async def _place(requests: Requests, seconds: float, url: str, service: psutil.Process) -> _Placed:
    """Send for so many seconds. Raises unless each order that was sent is in the log, whatever its answer told."""
    count = "SELECT count(*) FROM event_store.events"
    before, used = await servers.number(url, count), _cpu_seconds(service)
    load = await send(requests, seconds)
    used, placed = _cpu_seconds(service) - used, await servers.number(url, count) - before
    if placed != load.answers * requests.lines:
        raise AssertionError(f"of {load.answers * requests.lines} orders {placed:.0f} were placed")
    return _Placed(load, load.rate * requests.lines, used / placed * 1e6)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
