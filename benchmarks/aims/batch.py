"""Orders placed by the hundred in one request (`/orders/batch`, a command a line), beside one order a request."""

import json
from functools import partial

import httpx

from benchmarks import servers
from benchmarks.aims.place_orders import generator_cost
from benchmarks.bodies import ORDER, placing
from benchmarks.context import Context
from benchmarks.load import CONNECTIONS, Requests, send
from benchmarks.results import Aim, Result, ratio, series

_PATH = "/orders/batch"
_LINES = 500
_AT_ONCE = 4
_NDJSON = {"Content-Type": "application/x-ndjson"}
_TITLE = "Placing orders in bulk over HTTP"


async def measure(context: Context) -> list[Result]:
    """Measure both in turn; lines of answers are counted."""
    url = await servers.fresh_database(context.postgres, "batch")
    async with servers.service("command", context.environment(url), context.profiles) as (daicho, _):
        tokens = context.tokens(CONNECTIONS)
        if not await _exists(daicho, tokens[0]):
            return [Result(name="batch", title=_TITLE, skipped=f"the command service has no {_PATH}")]
        line = json.dumps({"command": "PlaceOrder", "key": "{key}", **ORDER}) + "\n"
        bulk = Requests(
            urls=(daicho,), path=_PATH, headers=_NDJSON, body=line, lines=_LINES, tokens=tuple(tokens), connections=_AT_ONCE
        )  # fmt: skip
        single = placing(daicho, tokens=tokens)
        for requests in (single, bulk):
            await send(requests, 1.0)
        legs = {"one a request": single, "in bulk": bulk}
        loads = await context.in_turn({name: partial(send, one, context.seconds) for name, one in legs.items()})
        await _require_placed(url, daicho, tokens[0], line)
    alone, together = [load.rate for load in loads["one a request"]], [load.lines for load in loads["in bulk"]]
    return [
        Result(
            name="batch",
            title=_TITLE,
            settings=f"one a request on {CONNECTIONS} connections; {_LINES} a request on {_AT_ONCE}",
            series=(series("one a request", "orders/s", alone), series("in bulk", "orders/s", together)),
            ratios=(ratio("in bulk / one a request", together, alone, Aim(number=4, bound=5.0)),),
            notes=(generator_cost([load for found in loads.values() for load in found]),),
        )
    ]


async def _exists(daicho: str, token: str) -> bool:
    async with httpx.AsyncClient() as http:
        headers = {**_NDJSON, "Authorization": f"Bearer {token}"}
        return (await http.post(daicho + _PATH, content=b"", headers=headers)).status_code not in (404, 405)


async def _require_placed(url: str, daicho: str, token: str, line: str) -> None:
    """Raise unless a bulk request of this shape places an order for each line."""
    count = "SELECT count(*) FROM event_store.events"
    before = await servers.number(url, count)
    async with httpx.AsyncClient() as http:
        body = "".join(line.replace("{key}", f"check-{number}") for number in range(_LINES))
        headers = {**_NDJSON, "Authorization": f"Bearer {token}"}
        answer = await http.post(daicho + _PATH, content=body, headers=headers, timeout=30)
    appended = await servers.number(url, count) - before
    if len(answer.text.splitlines()) != _LINES or appended != _LINES:
        raise AssertionError(f"{_LINES} lines were sent, {appended:.0f} orders placed: {answer.text[:500]}")
