"""A service that is told to end: what is in flight is answered, new requests go elsewhere, and it ends with code 0. I1."""

import asyncio
import signal

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.test_overload import append_waits, appends_held
from tests.support.http import events, place, plain_client
from tests.support.processes import Process, service
from tests.support.sse import streaming
from tests.support.waiting import wait_until


async def test_a_command_in_flight_is_answered_and_others_are_turned_away(database: str, engine: AsyncEngine) -> None:
    async with (
        service(
            "command", database, DAICHO_DRAIN_SECONDS="300", DAICHO_MAX_REQUESTS="2", DAICHO_COMMAND_DEADLINE="60"
        ) as commands,
        plain_client(base_url=commands.url, timeout=60) as http,
    ):
        async with appends_held(database):
            in_flight = asyncio.create_task(place(http))
            await wait_until(lambda: append_waits(engine), "an append waits for the lock")
            commands.tell(signal.SIGTERM)
            await wait_until(lambda: _says_that_it_stops(commands), "it is not ready")
            late = asyncio.create_task(_place_at_last(http))
            await wait_until(lambda: _is_full(commands), "the second command is being worked on")
            commands.tell(signal.SIGTERM)
            await wait_until(lambda: _is_closed(commands), "it lets no one in")
        answers = [await in_flight, await late]
        assert await commands.ended() == 0
    assert [answer.status_code for answer in answers] == [201, 201]
    assert [answer.headers["connection"] for answer in answers[1:]] == ["close"]
    assert len(await events(engine)) == 2


async def test_streams_end_and_the_service_with_them(database: str) -> None:
    async with service("query", database) as queries, streaming(queries.port) as client:
        queries.tell(signal.SIGTERM)
        assert await client.next() is None
        assert await queries.ended() == 0


async def _says_that_it_stops(process: Process) -> bool:
    async with plain_client() as http:
        answer = await http.get(f"{process.url}/health/ready")
    return answer.status_code == 503 and answer.json()["checks"]["not stopping"] == "It is stopping."


async def _place_at_last(http: httpx.AsyncClient) -> httpx.Response:
    """Place an order, again where the service was full: of the test's own looks, too."""
    while (answer := await place(http)).status_code == 503:
        pass
    return answer


async def _is_full(process: Process) -> bool:
    async with plain_client() as http:
        answer = await http.get(f"{process.url}/none")
    return answer.status_code == 503


async def _is_closed(process: Process) -> bool:
    try:
        async with plain_client() as http:
            await http.get(f"{process.url}/health/live")
    except httpx.ConnectError:
        return True
    return False
