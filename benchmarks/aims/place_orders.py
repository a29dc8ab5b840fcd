"""`POST /orders` beside a bare endpoint and the peers behind FastAPI, as fast as they go and at a fixed rate."""

import statistics
from contextlib import AsyncExitStack
from functools import partial
from importlib.util import find_spec

from benchmarks import servers
from benchmarks.bodies import placing
from benchmarks.context import Context
from benchmarks.load import CONNECTIONS, Load, Requests, send
from benchmarks.results import Aim, Result, ratio, series

BARE, DAICHO = "bare endpoint", "Daicho"
EVENTSOURCING, ORM = "eventsourcing behind FastAPI", "an ORM transaction per event"
_WARM_UP = 1.5
_BELOW_SATURATION = 0.7


async def measure(context: Context) -> list[Result]:
    """Measure all in turn, then the bare endpoint and Daicho at seven tenths of Daicho's rate."""
    async with AsyncExitStack() as stack:
        requests = await _start(context, stack)
        for one in requests.values():
            await send(one, _WARM_UP)
        fast = await context.in_turn({name: partial(send, one, context.seconds) for name, one in requests.items()})
        rate = _BELOW_SATURATION * statistics.median(load.rate for load in fast[DAICHO])
        steady = await context.in_turn(
            {name: partial(send, requests[name], context.seconds, rate) for name in (BARE, DAICHO)}
        )
    return [_as_fast_as_it_goes(fast), _at_a_rate(steady, rate)]


async def _start(context: Context, stack: AsyncExitStack) -> dict[str, Requests]:
    url = await servers.fresh_database(context.postgres, "place_orders")
    bare = await stack.enter_async_context(servers.app("benchmarks.bare_app:create", {}))
    command = servers.service("command", context.environment(url), context.profiles)
    daicho, _ = await stack.enter_async_context(command)
    requests = {BARE: placing(bare), DAICHO: placing(daicho, tokens=context.tokens(CONNECTIONS))}
    for name, module in {EVENTSOURCING: "eventsourcing_orders", ORM: "orm_orders"}.items():
        if name is EVENTSOURCING and find_spec("eventsourcing") is None:
            print("  eventsourcing is not installed; `make bench` installs it")
            continue
        peer = await servers.empty_database(context.postgres, module)
        environment = {"DAICHO_BENCH_DATABASE_URL": peer}
        app = servers.app(f"benchmarks.peers.{module}:create", environment)
        requests[name] = placing(await stack.enter_async_context(app))
    return requests


def _as_fast_as_it_goes(loads: dict[str, list[Load]]) -> Result:
    rates = {name: [load.rate for load in found] for name, found in loads.items()}
    p99s = [series(f"{name}, p99", "ms", [load.p99 for load in found]) for name, found in loads.items()]
    ratios = [ratio("Daicho / bare endpoint", rates[DAICHO], rates[BARE], Aim(number=1, bound=0.65))]
    if EVENTSOURCING in rates:
        ratios.append(ratio(f"Daicho / {EVENTSOURCING}", rates[DAICHO], rates[EVENTSOURCING], Aim(number=1, bound=6.0)))
    ratios.append(ratio(f"Daicho / {ORM}", rates[DAICHO], rates[ORM]))
    return Result(
        name="place_orders",
        title="Placing orders over HTTP",
        settings=f"{CONNECTIONS} connections, each sends when it has its answer",
        series=(*(series(name, "requests/s", found) for name, found in rates.items()), *p99s),
        ratios=tuple(ratios),
        notes=(generator_cost([load for found in loads.values() for load in found]),),
    )


def _at_a_rate(loads: dict[str, list[Load]], rate: float) -> Result:
    p99s = {name: [load.p99 for load in found] for name, found in loads.items()}
    medians = [series(f"{name}, median", "ms", [load.median for load in found]) for name, found in loads.items()]
    return Result(
        name="place_orders_latency",
        title="Latency of placing orders, at one rate for both",
        settings=f"{rate:,.0f} requests a second, due at fixed times whatever is unanswered, on {CONNECTIONS} connections; "
        "latency counts from when a request was due",
        series=(*medians, *(series(f"{name}, p99", "ms", found) for name, found in p99s.items())),
        ratios=(
            ratio("Daicho / bare endpoint, p99", p99s[DAICHO], p99s[BARE], Aim(number=1, bound=3.0, at_least=False)),
        ),
        notes=(generator_cost([load for found in loads.values() for load in found]),),
    )


def generator_cost(loads: list[Load]) -> str:
    """Tell what sending cost."""
    shares = sorted(load.generator for load in loads)
    return f"The load generator took {shares[0]:.0%} to {shares[-1]:.0%} of a core."
