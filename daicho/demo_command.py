"""`daicho demo`: realistic orders, live and of the past, for services that run already or that it runs itself."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import httpx
import typer
from httpx import codes
from pydantic import SecretStr

from daicho.demo.display import shown
from daicho.demo.loading import load_history
from daicho.demo.traffic import Traffic
from daicho.errors import NoCommandService, NotAllowed
from daicho.settings import OperatorSettings
from daicho.signals import stop_event
from daicho.up import services, serving

_CONNECTIONS = 64
_REQUEST_SECONDS = 30.0
_SEEDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Demo:
    """What is wanted: `rate` in orders a second; without `orders`, traffic has no end; without a URL, the settings' own."""

    rate: float
    backfill: int
    months: int
    orders: int | None
    seed: int | None
    command_url: str | None


async def run_demo(settings: OperatorSettings, wanted: Demo) -> None:
    """Load history, if any is wanted, then send traffic until it is over, or SIGINT, SIGTERM or SIGHUP.

    Raises `NoCommandService`, `NotAllowed`, and as `up` and `load_history`.
    """
    stop = stop_event()
    seed = random.SystemRandom().randrange(_SEEDS) if wanted.seed is None else wanted.seed
    async with _service(settings, wanted.command_url, stop) as url:
        if wanted.backfill and not stop.is_set():
            await load_history(settings, seed, wanted.backfill, wanted.months, stop)
        if wanted.orders != 0 and not stop.is_set():
            await _send_traffic(url, settings.token, seed, wanted, stop)


@asynccontextmanager
async def _service(settings: OperatorSettings, given: str | None, stop: asyncio.Event) -> AsyncIterator[str]:
    """Give the URL of the command service; if none is there, both services run while this lasts."""
    url = services(settings)[0].url if given is None else given
    if await _takes_orders(url):
        yield url
        return
    if given is not None:
        raise NoCommandService(given)
    async with serving(settings, stop):
        yield url


async def _takes_orders(url: str) -> bool:
    try:
        async with httpx.AsyncClient(base_url=url) as http:
            answer = await http.get("/openapi.json")
            return answer.is_success and "post" in answer.json()["paths"]["/orders"]
    except (httpx.TransportError, httpx.InvalidURL, ValueError, LookupError, TypeError):
        return False


async def _send_traffic(url: str, token: SecretStr | None, seed: int, wanted: Demo, stop: asyncio.Event) -> None:
    """Send orders until there are no more, or `stop`.

    Raises `NotAllowed` where they would all be refused.
    """
    headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
    limits = httpx.Limits(max_connections=_CONNECTIONS)
    timeout = httpx.Timeout(_REQUEST_SECONDS, pool=None)
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=timeout) as http:
        await _require_permission(http)
        traffic = Traffic(http, seed, wanted.rate, wanted.backfill, wanted.orders)
        typer.echo(f"{wanted.rate:g} orders a second to {url}, of seed {seed}; a day of theirs passes in a minute")
        started = asyncio.get_running_loop().time()
        async with shown(traffic.tally):
            await _until(traffic, stop)
    typer.echo(f"{traffic.tally}, in {asyncio.get_running_loop().time() - started:.0f} s")


async def _require_permission(http: httpx.AsyncClient) -> None:
    """Ask for nothing, as a command that is not valid does, to see whether commands are let in."""
    with suppress(httpx.TransportError):
        answer = await http.post("/orders")
        if answer.status_code in {codes.UNAUTHORIZED, codes.FORBIDDEN}:
            raise NotAllowed(str(http.base_url), answer.json()["detail"])


async def _until(traffic: Traffic, stop: asyncio.Event) -> None:
    """Run the traffic to its end, or until `stop`."""
    running, stopped = asyncio.create_task(traffic.run()), asyncio.create_task(stop.wait())
    await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
    traffic.stop()
    stopped.cancel()
    await running
