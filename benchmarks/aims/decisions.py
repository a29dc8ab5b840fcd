"""Confirming, shipping and cancelling, of orders that are not in the service's memory, beside a bare endpoint."""

import json
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import logs, servers
from benchmarks.aims.place_orders import generator_cost
from benchmarks.bodies import JSON, KEY
from benchmarks.context import Context
from benchmarks.load import CONNECTIONS, Load, Requests, send
from benchmarks.results import Aim, Result, ratio, series

_BODIES = {
    "confirm": "",
    "ship": json.dumps({"carrier": "Yamato", "tracking_number": "1234-5678"}),
    "cancel": json.dumps({"reason": "The customer changed their mind."}),
}
_FASTEST = 6_000
"""More requests a second than can be answered: so many orders a second of a leg are made ready."""


async def measure(context: Context) -> list[Result]:
    """Measure each command at both in turn."""
    url = await servers.fresh_database(context.postgres, "decisions")
    environment = context.environment(url)
    with TemporaryDirectory() as folder:
        async with (
            servers.app("benchmarks.bare_app:create", {}) as bare,
            servers.service("command", environment, context.profiles) as (daicho, _),
        ):
            at = partial(_send, context, url, Path(folder))
            for base in (bare, daicho):
                await at(base, "confirm", 1.0)
            legs = {
                f"{name}, {verb}": partial(at, base, verb, context.seconds)
                for verb in _BODIES
                for name, base in (("bare endpoint", bare), ("Daicho", daicho))
            }
            return [_result(await context.in_turn(legs))]


async def _send(context: Context, url: str, folder: Path, base: str, verb: str, seconds: float) -> Load:
    """Send a command to orders that were appended just now, by another process: the service has to load each."""
    ids = await logs.orders(url, int(_FASTEST * seconds), are_confirmed=verb == "ship")
    requests = Requests(
        urls=(base,),
        path=f"/orders/{{id}}/{verb}",
        headers={**JSON, **KEY} if _BODIES[verb] else KEY,
        body=_BODIES[verb],
        tokens=tuple(context.tokens(CONNECTIONS)),
        ids=logs.write_ids(folder / "ids", ids),
    )
    return await send(requests, seconds)


def _result(loads: dict[str, list[Load]]) -> Result:
    rates = {name: [load.rate for load in found] for name, found in loads.items()}
    return Result(
        name="decisions",
        title="Confirming, shipping and cancelling over HTTP",
        settings=f"{CONNECTIONS} connections; each order's events are read from the log, for no order is in the service's memory",
        series=(
            *(series(name, "requests/s", found) for name, found in rates.items()),
            *(series(f"{name}, p99", "ms", [load.p99 for load in found]) for name, found in loads.items()),
        ),
        ratios=tuple(
            ratio(
                f"Daicho / bare endpoint, {verb}",
                rates[f"Daicho, {verb}"],
                rates[f"bare endpoint, {verb}"],
                Aim(number=2, bound=0.5),
            )
            for verb in _BODIES
        ),
        notes=(generator_cost([load for found in loads.values() for load in found]),),
    )
