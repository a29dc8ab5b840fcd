"""Commits wait for a standby that is away: nothing is acknowledged that the primary alone has (I1), and once it is back, all is."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Literal

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.apps import command_service
from tests.support.databases import Server, connected
from tests.support.http import assert_problem, events, place
from tests.support.replay import assert_log_is_sound
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif("DAICHO_DATABASE_URL" in os.environ, reason="changes the server's configuration")

KEY = {"Idempotency-Key": "k"}
WAITING = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep'"


class Standby:
    """The standby that commits to the test's database wait for; there is none, so they wait while it is `away`."""

    def __init__(self, postgres: Server, database: str, engine: AsyncEngine) -> None:
        self._postgres, self.database, self._engine = postgres, database, engine

    async def be(self, where: Literal["away", "back"]) -> None:
        names = {"away": "elsewhere", "back": ""}[where]
        async with connected(self._postgres.admin_url, 1) as engine, engine.connect() as connection:
            await connection.execute(text(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'"))
            await connection.execute(text("SELECT pg_reload_conf()"))
            query = text("SELECT setting FROM pg_settings WHERE name = 'synchronous_standby_names'")

            async def is_known() -> bool:
                return bool(await connection.scalar(query) == names)

            await wait_until(is_known, f"the standby is {where}")

    async def is_awaited(self) -> bool:
        async with self._engine.connect() as connection:
            return bool(await connection.scalar(text(f"SELECT count(*) = 1 {WAITING}")))

    async def give_up(self, how: Literal["pg_cancel_backend", "pg_terminate_backend"]) -> None:
        """Have the commit that waits give up: it is in the log then, whether a standby has it or not."""
        await wait_until(self.is_awaited, "a commit waits for the standby")
        async with self._engine.connect() as connection:
            await connection.execute(text(f"SELECT {how}(pid) {WAITING}"))


@pytest.fixture
async def standby(postgres: Server, database: str, engine: AsyncEngine) -> AsyncIterator[Standby]:
    name = database.rsplit("/", 1)[1].split("?", maxsplit=1)[0]
    async with connected(postgres.admin_url, 1) as admin, admin.connect() as connection:
        await connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = on"))
    standby = Standby(postgres, database, engine)
    try:
        yield standby
    finally:
        await standby.be("back")


@pytest.fixture
async def http(standby: Standby) -> AsyncIterator[httpx.AsyncClient]:
    async with command_service(standby.database, command_deadline=20) as client:
        yield client


@pytest.fixture
async def hasty(standby: Standby) -> AsyncIterator[httpx.AsyncClient]:
    async with command_service(standby.database, command_deadline=0.5) as client:
        yield client


@pytest.mark.parametrize(("how", "headers"), [("pg_cancel_backend", KEY), ("pg_terminate_backend", {})])
async def test_a_commit_that_gave_up_waiting_is_acknowledged_when_the_standby_has_it(
    standby: Standby,
    http: httpx.AsyncClient,
    engine: AsyncEngine,
    how: Literal["pg_cancel_backend", "pg_terminate_backend"],
    headers: dict[str, str],
) -> None:
    await standby.be("away")
    placing = asyncio.create_task(place(http, **headers))
    await standby.give_up(how)
    await wait_until(standby.is_awaited, "what was sent again waits too")
    assert len(await events(engine)) == 1
    assert not placing.done()
    await standby.be("back")
    answer = await placing
    assert (answer.status_code, answer.json()["position"]) == (201, 1)
    assert await assert_log_is_sound(engine) == 1


async def test_neither_it_nor_its_repetition_is_acknowledged_while_the_standby_is_away(
    standby: Standby, hasty: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await standby.be("away")
    for _ in range(2):
        assert_problem(await place(hasty, **KEY), 503, "outcome-unknown")

    async def is_committed() -> bool:
        return len(await events(engine)) == 1

    await wait_until(is_committed, "its wait for the standby was broken off")
    async with command_service(standby.database, command_deadline=0.5) as another:
        assert_problem(await place(another, **KEY), 503, "outcome-unknown")
    await standby.be("back")
    answer = await place(hasty, **KEY)
    assert (answer.status_code, answer.json()["position"], answer.headers["Idempotency-Replayed"]) == (201, 1, "true")
    assert await assert_log_is_sound(engine) == 1


async def test_a_refusal_waits_for_nobody(standby: Standby, hasty: httpx.AsyncClient) -> None:
    placed = (await place(hasty)).json()
    await standby.be("away")
    assert_problem(await hasty.post(f"/orders/{placed['order_id']}/ship", json={}), 409, "invalid-transition")
