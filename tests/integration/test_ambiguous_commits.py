"""The connection dies when the outcome is not known: acknowledged once, or told so, and the retry gets the truth (I1, I7)."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import command_service
from tests.support.http import assert_problem, events, place
from tests.support.proxy import Proxy, proxied
from tests.support.replay import assert_log_is_sound
from tests.support.waiting import wait_until

KEY = {"Idempotency-Key": "k"}


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[Proxy]:
    async with proxied(database) as proxy:
        yield proxy


@pytest.fixture
async def http(proxy: Proxy) -> AsyncIterator[httpx.AsyncClient]:
    async with command_service(proxy.url, command_deadline=20) as client:
        await place(client)  # Connected, and position 1 is taken.
        yield client


@pytest.fixture
async def hasty(proxy: Proxy) -> AsyncIterator[httpx.AsyncClient]:
    async with command_service(proxy.url, command_deadline=0.5) as client:
        await place(client)
        yield client


async def committed(engine: AsyncEngine, count: int) -> None:
    """Wait until so many events are in the log, whatever the service knows of it."""

    async def reached() -> bool:
        return len(await events(engine)) >= count

    await wait_until(reached, f"{count} events are in the log")


async def test_a_commit_whose_answer_was_lost_is_acknowledged_once(
    proxy: Proxy, http: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    """One batch in flight, with and without keys; many more wait behind it."""
    proxy.hold_answers()
    first = asyncio.create_task(place(http))
    await committed(engine, 2)
    waiting = [asyncio.create_task(place(http, **({} if n % 2 else {"Idempotency-Key": f"{n}"}))) for n in range(20)]
    proxy.cut()
    proxy.heal()
    answers = [await first, *[await task for task in waiting]]
    assert {answer.status_code for answer in answers} == {201}
    assert not any("Idempotency-Replayed" in answer.headers for answer in answers)
    assert await assert_log_is_sound(engine) == 22
    logged = {(str(event.aggregate_id), event.position) for event in await events(engine)}
    assert {(answer.json()["order_id"], answer.json()["position"]) for answer in answers} < logged


async def test_a_commit_lost_again_and_again_is_acknowledged_once(
    proxy: Proxy, http: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    proxy.lose_answers(b"customer_name", 5)
    answer = await place(http, **KEY)
    assert (answer.status_code, answer.json()["position"], proxy.to_lose) == (201, 2, 0)
    assert "Idempotency-Replayed" not in answer.headers
    assert await assert_log_is_sound(engine) == 2


async def test_past_the_deadline_it_is_told_so_and_the_retry_with_the_key_gets_the_truth(
    proxy: Proxy, hasty: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    proxy.hold_answers()
    placing = asyncio.create_task(place(hasty, **KEY))
    await committed(engine, 2)
    proxy.cut(stay_away=True)
    problem = assert_problem(await placing, 503, "outcome-unknown")
    assert "may or may not have taken effect" in problem["detail"]
    proxy.heal()
    again = await place(hasty, **KEY)
    assert (again.status_code, again.headers["Idempotency-Replayed"], again.json()["position"]) == (201, "true", 2)
    assert await assert_log_is_sound(engine) == 2


async def test_what_never_arrived_is_told_alike_and_the_retry_carries_it_out(
    proxy: Proxy, hasty: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    proxy.hold_requests()
    assert_problem(await place(hasty, **KEY), 503, "outcome-unknown")
    proxy.cut()
    proxy.heal()
    again = await place(hasty, **KEY)
    assert (again.status_code, "Idempotency-Replayed" in again.headers) == (201, False)
    assert await assert_log_is_sound(engine) == 2


async def test_an_answer_that_hangs_does_not_hang_the_client(
    proxy: Proxy, hasty: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    """The connection lives, but nothing comes: the deadline holds, and the service works again afterwards."""
    proxy.hold_answers()
    async with asyncio.timeout(30):
        assert_problem(await place(hasty, **KEY), 503, "outcome-unknown")
    proxy.heal()
    again = await place(hasty, **KEY)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert await assert_log_is_sound(engine) == 2
