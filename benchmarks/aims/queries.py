"""One order and a list of fifty, from tables and from memory, beside a bare endpoint that returns the same bytes."""

import random
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks import logs, servers
from benchmarks.aims.place_orders import generator_cost
from benchmarks.bare_app import ANSWER
from benchmarks.context import Context
from benchmarks.load import CONNECTIONS, Load, Requests, send
from benchmarks.results import Aim, Result, ratio, series

ORDERS = 5_000
"""As many as are read; each is read many times."""

_FASTEST = 20_000
LIST = "/orders?limit=50"
ONE, FIFTY, SHARED = "one order", "a list of 50", "from tables, one list for all"


async def measure(context: Context) -> list[Result]:
    """Measure all in turn; what reads tables has a cache of no bytes."""
    url = await servers.fresh_database(context.postgres, "queries")
    ids = [str(one) for one in await logs.orders(url, ORDERS)]
    environment, tokens = context.environment(url), context.tokens(CONNECTIONS)
    uncached_environment = context.environment(url, DAICHO_ANSWER_CACHE_BYTES="0")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        cached, _ = await stack.enter_async_context(servers.service("query", environment))
        uncached, _ = await stack.enter_async_context(servers.service("query", uncached_environment, context.profiles))
        bodies = {path: await get(uncached + path, tokens[0], ORDERS) for path in (f"/orders/{ids[0]}", LIST)}
        count = int(_FASTEST * max(context.seconds, 1.0))
        details, moments = folder / "ids", folder / "moments"
        details.write_text("\n".join(random.Random(7).choices(ids, k=count)), encoding="utf-8")
        now = datetime.now(UTC)
        moments.write_text(
            "\n".join(f"{now + timedelta(seconds=n):%Y-%m-%dT%H:%M:%SZ}" for n in range(count)), encoding="utf-8"
        )
        one = partial(Requests, method="GET", path="/orders/{id}", ids=details, tokens=tuple(tokens))
        fifty = partial(Requests, method="GET", path=LIST, tokens=tuple(tokens))
        each = partial(fifty, path=LIST + "&placed_to={id}", ids=moments)
        legs: dict[str, Requests] = {}
        for (path, body), request, what in zip(bodies.items(), (one, fifty), (ONE, FIFTY), strict=True):
            bare = await stack.enter_async_context(servers.app("benchmarks.bare_app:create", {ANSWER: body}))
            if await get(bare + path, tokens[0], 0) != body or await get(cached + path, tokens[0], ORDERS) != body:
                raise AssertionError("they do not return the same bytes")
            legs |= {f"bare endpoint, {what}": request(urls=(bare,)), f"from memory, {what}": request(urls=(cached,))}
        legs[f"from tables, {ONE}"] = one(urls=(uncached,))
        legs[f"from tables, {FIFTY}"] = each(urls=(uncached,))
        legs[f"{SHARED}, {FIFTY}"] = fifty(urls=(uncached,))
        for leg in legs.values():
            await send(leg, 1.0)
        loads = await context.in_turn({name: partial(send, leg, context.seconds) for name, leg in legs.items()})
    return [_result(loads)]


def _result(loads: dict[str, list[Load]]) -> Result:
    rates = {name: [load.rate for load in found] for name, found in loads.items()}
    aims = {(ONE, "tables"): 0.5, (FIFTY, "tables"): 0.4, (ONE, "memory"): 0.85, (FIFTY, "memory"): 0.85}
    return Result(
        name="queries",
        title="Queries over HTTP",
        settings=f"{CONNECTIONS} connections; {ORDERS:,} orders, drawn at random; the answers are the same to the byte, but for the cursor where each list is another",
        series=(
            *(series(name, "requests/s", found) for name, found in rates.items()),
            *(series(f"{name}, p99", "ms", [load.p99 for load in found]) for name, found in loads.items()),
        ),
        ratios=(
            *(
                ratio(
                    f"from {source} / bare endpoint, {what}",
                    rates[f"from {source}, {what}"],
                    rates[f"bare endpoint, {what}"],
                    Aim(number=6, bound=bound),
                )
                for (what, source), bound in aims.items()
            ),
            ratio(f"{SHARED} / bare endpoint, {FIFTY}", rates[f"{SHARED}, {FIFTY}"], rates[f"bare endpoint, {FIFTY}"]),
        ),
        notes=(
            "From tables, each list is the one before a moment of its own. Where all ask for the same one, those who do while it is read share the next read.",
            generator_cost([load for found in loads.values() for load in found]),
        ),
    )


async def get(url: str, token: str, position: int) -> str:
    """Give a page's body as of a position."""
    headers = {"Authorization": f"Bearer {token}", "Event-Position": str(position), "Prefer": "wait=30"}
    async with httpx.AsyncClient(timeout=60) as http:
        return (await http.get(url, headers=headers)).raise_for_status().text
