"""`daicho events` and `daicho snapshots` on a real log."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from shared.event_log.events import StreamId, Version
from shared.orders.events import OrderCancelled, OrderConfirmed
from tests.support import golden
from tests.support.events import an_event
from tests.support.orders import commit, placed
from tests.support.processes import daicho

ONE, TWO = UUID(int=1), UUID(int=2)


@pytest.fixture
async def log(database: str, store: PostgresEventStore) -> str:
    await store.append([commit(ONE, 0, placed("Aïko 台帳"))])
    await store.append([commit(TWO, 0, placed())])
    await store.append([commit(ONE, 1, OrderConfirmed())])
    await store.append([commit(TWO, 1, OrderCancelled(reason="late"))])
    return database


async def positions(database: str, *options: str) -> list[int]:
    code, output = await daicho(database, "events", "--json", *options)
    assert code == 0, output
    return [json.loads(line)["position"] for line in output.splitlines()]


async def test_lines_for_people(log: str) -> None:
    code, output = await daicho(log, "events", "--order", str(ONE))
    first, second = output.splitlines()
    assert code == 0
    assert first.split()[:6] == ["1", "2026-03-01T00:00:00.000000Z", "order", str(ONE), "@1", "OrderPlaced"]
    assert '"customer_name": "Aïko 台帳"' in first
    assert second.endswith(f"order {ONE} @2  OrderConfirmed v1  {{}}")


async def test_json_lines_are_what_the_api_gives(log: str, http: httpx.AsyncClient) -> None:
    code, output = await daicho(log, "events", "--json", "--after", "0")
    assert code == 0
    assert [json.loads(line) for line in output.splitlines()] == (await http.get("/events")).json()["items"]


async def test_what_is_shown_can_be_chosen(log: str) -> None:
    assert await positions(log) == [1, 2, 3, 4]
    assert await positions(log, "--last", "2") == [3, 4]
    assert await positions(log, "--after", "3") == [4]
    assert await positions(log, "--type", "OrderPlaced") == [1, 2]
    assert await positions(log, "--type", "OrderPlaced", "--type", "OrderConfirmed", "--last", "2") == [2, 3]
    assert await positions(log, "--order", str(TWO)) == [2, 4]
    assert await positions(log, "--correlation", "test", "--last", "1") == [4]


async def test_old_events_are_shown_upcast_or_as_stored(database: str, store: PostgresEventStore) -> None:
    event = golden.load_event("OrderPlaced", 1)
    old = an_event(data=event.data, event_type="OrderPlaced")
    await store.append([Commit(StreamId("order", uuid4()), Version(0), (old,))])
    (now,), (then,) = [
        [json.loads(line) for line in (await daicho(database, "events", "--json", *options))[1].splitlines()]
        for options in ((), ("--stored",))
    ]
    assert (now["schema_version"], now["data"]) == (2, event.reads_as)
    assert (then["schema_version"], then["data"]) == (1, event.data)


@asynccontextmanager
async def following(database: str, *options: str) -> AsyncIterator[asyncio.StreamReader]:
    """Run `daicho events --follow` as long as this lasts; then see that Ctrl-C ends it quietly."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daicho", "events", "--follow", "--json", *options,
        env={**os.environ, "DAICHO_DATABASE_URL": database},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in errors.decode()


async def test_following_shows_what_comes(log: str, store: PostgresEventStore, engine: AsyncEngine) -> None:
    async def next_position() -> int:
        async with asyncio.timeout(30):
            return int(json.loads(await lines.readline())["position"])

    async with following(log, "--type", "OrderPlaced", "--last", "1") as lines:
        assert await next_position() == 2
        await store.append([commit(uuid4(), 0, placed()), commit(uuid4(), 0, placed())])
        assert [await next_position(), await next_position()] == [5, 6]
        await store.append([commit(ONE, 2, OrderCancelled(reason="x"))])
        async with engine.connect() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'daicho-events'"
                )
            )
        await store.append([commit(uuid4(), 0, placed())])
        assert await next_position() == 8


@pytest.mark.parametrize(
    "options", [("--order", "7"), ("--after", "-1"), ("--after", str(2**63)), ("--last", "x"), ("--colour",)]
)
async def test_bad_options_are_named(log: str, options: tuple[str, ...]) -> None:
    code, output = await daicho(log, "events", *options)
    assert code == 2
    assert options[0] in output


async def test_snapshots_are_counted_and_dropped(database: str, engine: AsyncEngine) -> None:
    assert await daicho(database, "snapshots", "status") == (0, "there are no snapshots\n")
    async with engine.connect() as connection:
        for aggregate_type, schema in (("order", 1), ("order", 2), ("order", 2), ("coupon", 1)):
            await connection.execute(
                text(
                    f"INSERT INTO event_store.snapshots VALUES ('{aggregate_type}', gen_random_uuid(), 1, '{{}}', {schema})"
                )
            )
    code, output = await daicho(database, "snapshots", "status")
    rows = [[cell.strip() for cell in line.split("│")[1:4]] for line in output.splitlines() if "│" in line]
    assert (code, rows) == (0, [["coupon", "1", "1"], ["order", "1", "1"], ["order", "2", "2"]])
    assert await daicho(database, "snapshots", "drop", "--type", "order") == (0, "3 snapshots dropped\n")
    assert await daicho(database, "snapshots", "drop") == (0, "1 snapshots dropped\n")


async def test_nothing_found_is_said(log: str) -> None:
    assert await daicho(log, "events", "--type", "Bogus") == (0, "no event matches\n")
    code, output = await daicho(log, "events", "--after", "1", "--last", "2")
    assert (code, "give --after or --last, not both" in output) == (2, True)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "not a URL such as"), ("mysql://a@b/c", "a PostgreSQL URL is needed, not mysql"),
        ("postgresql://a:secret@b:x/c", "not a URL such as"), ("postgresql://a:secret@b:99999/c", "port 99999 is none"),
    ],
)  # fmt: skip
async def test_a_url_that_is_none_is_named(url: str, reason: str) -> None:
    for command in (["events"], ["verify"], ["migrate"], ["up"]):
        code, output = await daicho(url, *command)
        assert (code, output.startswith(f"DAICHO_DATABASE_URL: {reason}")) == (2, True)
        assert "secret" not in output
    code, output = await daicho(None, "import", "x.gz", DAICHO_READ_DATABASE_URL=url)
    assert (code, output.startswith(f"DAICHO_READ_DATABASE_URL: {reason}")) == (2, True)
