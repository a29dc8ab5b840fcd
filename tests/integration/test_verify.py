"""`daicho verify` finds what was altered behind the log's back, and names the first position (I8)."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from daicho.errors import LogAltered
from daicho.operating import log_connection
from daicho.verify import Anchor, Verified, verify
from tests.support.events import a_commit, a_stream, an_event
from tests.support.processes import daicho

pytestmark = pytest.mark.asyncio(loop_scope="module")

Log: TypeAlias = "asyncpg.Connection[Any]"

EVENTS = 15


async def sealed(engine: AsyncEngine) -> None:
    """Append events whose seals are over 1–1, 2–11, 12–12, 13–15."""
    store = PostgresEventStore(engine)
    data = {"name": "Aiko 台帳", "amount": "12.50", "text": "line\nbreak"}
    await store.append([a_commit()])
    await store.append([a_commit(None, 0, an_event(data=data), an_event(data=data)) for _ in range(5)])
    await store.append([a_commit()])
    await store.append([a_commit(a_stream(), 0, an_event(), an_event(), an_event())])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept(unchanged: str, unchanged_engine: AsyncEngine) -> str:
    """The URL of a log that tests alter in transactions that are rolled back."""
    await sealed(unchanged_engine)
    return unchanged


@pytest_asyncio.fixture(loop_scope="module")
async def log(kept: str) -> AsyncIterator[Log]:
    async with log_connection(kept) as connection:
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        try:
            yield connection
        finally:
            await transaction.rollback()


@pytest_asyncio.fixture(loop_scope="function")
async def own(database: str, engine: AsyncEngine) -> str:
    """The URL of a log of the test's own."""
    await sealed(engine)
    return database


async def tamper(log: Log, *statements: str) -> None:
    """Do what a superuser with the triggers off can do."""
    for table in ("events", "seals"):
        await log.execute(f"ALTER TABLE event_store.{table} DISABLE TRIGGER ALL")
    for statement in statements:
        await log.execute(statement)


async def verified(log: Log, anchor: Anchor | None = None) -> Verified:
    return await verify(log, lambda _: None, anchor)


async def verified_at(url: str, anchor: Anchor | None = None) -> Verified:
    async with log_connection(url) as connection, connection.transaction(isolation="repeatable_read"):
        return await verified(connection, anchor)


async def first_altered(log: Log, anchor: Anchor | None = None) -> int:
    with pytest.raises(LogAltered) as altered:
        await verified(log, anchor)
    return altered.value.position


async def test_an_untouched_log_matches_its_seals(log: Log) -> None:
    result = await verified(log)
    digest = await log.fetchval("SELECT digest FROM event_store.seals WHERE last_position = 15")
    assert result == Verified(EVENTS, 4, Anchor(EVENTS, digest))


@pytest.mark.asyncio(loop_scope="function")
async def test_an_empty_log_matches(database: str) -> None:
    assert await verified_at(database) == Verified(0, 0, None)


@pytest.mark.parametrize("position", range(1, EVENTS + 1))
async def test_one_byte_of_one_events_data_is_found(log: Log, position: int) -> None:
    change = "replace(event_data::text, '1', '2')::jsonb"
    await tamper(log, f"UPDATE event_store.events SET event_data = {change} WHERE position = {position}")
    assert await first_altered(log) == position


@pytest.mark.parametrize(
    "change",
    [
        "metadata = metadata || '{\"actor\": \"mallory\"}'", "metadata = '{}'", "event_type = 'Other'",
        "schema_version = 2", "version = 77", "event_id = gen_random_uuid()", "aggregate_id = gen_random_uuid()",
        "aggregate_type = 'other'", "occurred_at = occurred_at + interval '1 microsecond'",
        "recorded_at = recorded_at - interval '1 microsecond'", "event_data = event_data || '{\"n\": 1.0}'",
    ],
)  # fmt: skip
async def test_every_column_is_sealed(log: Log, change: str) -> None:
    await tamper(log, f"UPDATE event_store.events SET {change} WHERE position = 7")
    assert await first_altered(log) == 7


ONE_MORE = """
INSERT INTO event_store.events
SELECT 16, aggregate_type, gen_random_uuid(), version, event_type, schema_version, gen_random_uuid(), event_data,
    metadata, occurred_at, recorded_at
FROM event_store.events WHERE position = 1
"""


@pytest.mark.parametrize(
    ("statement", "position"),
    [
        ("DELETE FROM event_store.events WHERE position = 5", 5),
        ("DELETE FROM event_store.events WHERE position >= 14", 14),
        ("DELETE FROM event_store.events", 1),
        ("UPDATE event_store.events SET position = 99 WHERE position = 12", 12),
        (ONE_MORE, 16),
        ("DELETE FROM event_store.seals WHERE last_position = 1", 1),
        ("DELETE FROM event_store.seals WHERE last_position = 11", 2),
        ("DELETE FROM event_store.seals WHERE last_position = 15", 13),
        ("DELETE FROM event_store.seals", 1),
        ("UPDATE event_store.seals SET digest = sha256('x') WHERE last_position = 12", 12),
        ("UPDATE event_store.seals SET digest = sha256('x') WHERE last_position = 11", 2),
        ("UPDATE event_store.seals SET first_position = 3, locators = NULL WHERE last_position = 11", 2),
    ],
)
async def test_what_is_missing_added_or_resealed_is_found(log: Log, statement: str, position: int) -> None:
    await tamper(log, statement)
    assert await first_altered(log) == position


@pytest.mark.parametrize(
    "change", ["event_data = NULL", "occurred_at = 'infinity'", "recorded_at = '-infinity'", "metadata = NULL"]
)
async def test_what_no_event_can_hold_is_found(log: Log, change: str) -> None:
    column = change.split(maxsplit=1)[0]
    await tamper(
        log,
        f"ALTER TABLE event_store.events ALTER {column} DROP NOT NULL",
        f"UPDATE event_store.events SET {change} WHERE position = 7",
    )
    assert await first_altered(log) == 7


@pytest.mark.parametrize(
    ("locators", "position"),
    [
        ("set_byte(locators, 8, get_byte(locators, 8) # 1)", 4),
        ("''", 2),
        ("locators || 'x'", 2),
        ("substring(locators FOR 8)", 4),
    ],
)
async def test_locators_that_were_altered_are_found(log: Log, locators: str, position: int) -> None:
    await tamper(
        log,
        "ALTER TABLE event_store.seals DROP CONSTRAINT seals_locators_check",
        f"UPDATE event_store.seals SET locators = {locators} WHERE last_position = 11",
    )
    with pytest.raises(LogAltered, match="its seal's locators were altered") as altered:
        await verified(log)
    assert altered.value.position == position


async def test_the_first_of_several_altered_events_is_named(log: Log) -> None:
    await tamper(log, "UPDATE event_store.events SET event_type = 'Other' WHERE position IN (5, 6, 9, 14)")
    with pytest.raises(LogAltered, match="at position 5: it is not what was sealed, nor are 2 more up to 9"):
        await verified(log)


async def test_two_events_that_changed_places_are_found(log: Log) -> None:
    swap = "UPDATE event_store.events SET position = CASE position WHEN 4 THEN -8 ELSE 4 END WHERE position IN (4, 8)"
    back = "UPDATE event_store.events SET position = -position WHERE position < 0"
    await tamper(log, "ALTER TABLE event_store.events DROP CONSTRAINT events_position_check", swap, back)
    assert await first_altered(log) == 4


async def test_an_old_seal_without_locators_names_its_range(log: Log) -> None:
    await tamper(
        log,
        "UPDATE event_store.seals SET locators = NULL",
        "UPDATE event_store.events SET event_type = 'Other' WHERE position = 7",
    )
    with pytest.raises(LogAltered, match="one of the events 2–11, or their seal, is not what was sealed") as altered:
        await verified(log)
    assert altered.value.position == 2


RESEAL = """
WITH RECURSIVE forms AS (
    SELECT position, convert_to(event_store.canonical_form(
        position, aggregate_type, aggregate_id, version, event_type, schema_version,
        event_id, event_data, metadata, occurred_at, recorded_at
    ), 'UTF8') AS form
    FROM event_store.events
), chain AS (
    SELECT 0::bigint AS last_position, ''::bytea AS digest
    UNION ALL
    SELECT s.last_position, sha256(c.digest || (
        SELECT string_agg(form, '' ORDER BY position)
        FROM forms f WHERE f.position BETWEEN s.first_position AND s.last_position
    ))
    FROM chain c JOIN event_store.seals s ON s.first_position = c.last_position + 1
)
UPDATE event_store.seals s SET digest = c.digest, locators = (
    SELECT string_agg(substring(sha256(form) FOR 4), '' ORDER BY position)
    FROM forms f WHERE f.position BETWEEN s.first_position AND s.last_position
)
FROM chain c WHERE c.last_position = s.last_position
"""


@pytest.mark.asyncio(loop_scope="function")
async def test_a_log_rewritten_with_its_seals_does_not_match_an_anchor(own: str, engine: AsyncEngine) -> None:
    """And an auditor's own SQL, which this is, makes the same seals as the append."""
    async with log_connection(own) as log:
        result = await verified_at(own)
        assert result.head is not None
        await tamper(log, RESEAL)
        assert await verified_at(own, result.head) == result
        await tamper(log, "UPDATE event_store.events SET event_type = 'Other' WHERE position = 3", RESEAL)
        assert (await verified_at(own)).events == EVENTS
        for _ in range(2):
            with pytest.raises(LogAltered) as altered:
                await verified_at(own, result.head)
            assert altered.value.position == EVENTS
            await PostgresEventStore(engine).append([a_commit()])


AUDIT = re.findall(
    r"```sql\n(.*?)```", (Path(__file__).parents[2] / "docs" / "how-to" / "verify.md").read_text("utf-8"), re.DOTALL
)


async def audited(log: Log) -> list[list[tuple[object, ...]]]:
    """Run the documented queries; give the rows of each."""
    return [[tuple(row) for row in await log.fetch(query)] for query in AUDIT]


async def test_an_auditor_without_our_code_finds_the_same(log: Log) -> None:
    assert await audited(log) == [[], [], []]
    await tamper(log, "UPDATE event_store.events SET event_data = '{\"n\": 2}' WHERE position = 5")
    assert await audited(log) == [[(2, 11)], [], []]
    assert await first_altered(log) == 5


async def test_an_auditor_finds_what_is_not_sealed_or_missing(log: Log) -> None:
    await tamper(log, ONE_MORE, "DELETE FROM event_store.events WHERE position = 12")
    assert await audited(log) == [[(12, 12)], [(16,)], [(16, 15)]]
    assert await first_altered(log) == 12


async def test_a_log_cut_short_with_its_seals_does_not_match_an_anchor(log: Log) -> None:
    result = await verified(log)
    await tamper(
        log,
        "DELETE FROM event_store.events WHERE position > 12",
        "DELETE FROM event_store.seals WHERE last_position > 12",
    )
    assert (await verified(log)).events == 12
    assert await first_altered(log, result.head) == 13


async def test_an_anchor_past_the_end_or_between_seals_is_told_apart(log: Log) -> None:
    result = await verified(log)
    assert result.head is not None
    with pytest.raises(LogAltered, match="at position 16: it is missing: the log ends at 15, before the anchor's 99"):
        await verified(log, Anchor(99, result.head.digest))
    with pytest.raises(LogAltered, match="at position 7: no seal ends there, as the anchor says"):
        await verified(log, Anchor(7, result.head.digest))


@pytest.mark.asyncio(loop_scope="function")
async def test_an_anchor_holds_while_the_log_grows(own: str, engine: AsyncEngine) -> None:
    anchor = (await verified_at(own)).head
    await PostgresEventStore(engine).append([a_commit()])
    assert (await verified_at(own, anchor)).events == EVENTS + 1


@pytest.mark.asyncio(loop_scope="function")
async def test_appends_may_go_on_meanwhile(own: str, engine: AsyncEngine) -> None:
    store = PostgresEventStore(engine)

    async def append() -> None:
        for _ in range(50):
            await store.append([a_commit()])

    appending = asyncio.create_task(append())
    counts = [(await verified_at(own)).events for _ in range(5)]
    await appending
    assert counts == sorted(counts)
    assert (await verified_at(own)).events == EVENTS + 50


@pytest.mark.asyncio(loop_scope="function")
async def test_the_command_tells_by_exit_code_and_position(own: str) -> None:
    code, output = await daicho(own, "verify")
    assert code == 0
    assert output.startswith("15 events in 4 seals: nothing was altered (")
    seal = output.splitlines()[1].removeprefix("the last seal is ")
    assert (await daicho(own, "verify", "--anchor", seal))[0] == 0
    async with log_connection(own) as log:
        await tamper(log, "UPDATE event_store.events SET event_data = '{\"n\": 2}' WHERE position = 14")
    assert await daicho(own, "verify") == (
        3, "daicho: the log was altered at position 14: it is not what was sealed\n",
    )  # fmt: skip


@pytest.mark.parametrize("anchor", ["", "15", "15:xyz", "x:00", ":"])
async def test_an_anchor_that_is_none_is_refused(kept: str, anchor: str) -> None:
    code, output = await daicho(kept, "verify", "--anchor", anchor)
    assert code == 2
    assert "POSITION:DIGEST" in output


@pytest.mark.asyncio(loop_scope="function")
async def test_a_role_without_the_right_is_a_clear_message(own: str, engine: AsyncEngine) -> None:
    async with log_connection(own) as connection:
        await connection.execute("REVOKE SELECT ON event_store.seals FROM daicho_query")
        await connection.execute("ALTER ROLE daicho_query LOGIN")
    url = engine.url.set(username="daicho_query").render_as_string(hide_password=False)
    code, output = await daicho(url, "verify")
    assert code == 1
    assert "permission denied for table seals" in output
