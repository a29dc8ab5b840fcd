"""`daicho doctor` finds what is planted, says what to do, and finds nothing in a healthy ledger."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daicho.doctor.examination import examine
from daicho.doctor.findings import Finding, Patient
from query_service.app import AGGREGATES
from query_service.projection_statuses import ProjectionStatuses
from shared.event_log.reader import PostgresEventLog
from tests.support.databases import Server, cloned, connected, migrated_template, server_of_its_own
from tests.support.processes import daicho
from tests.support.waiting import wait_until

CONFIGURATION = "max_connections = 40\nsuperuser_reserved_connections = 3\n"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """A server of this module's own, as durable as one should be: what is planted concerns all of it."""
    with server_of_its_own(CONFIGURATION) as running:
        yield running


@pytest.fixture(scope="module")
def template(postgres: Server) -> Iterator[str]:
    with migrated_template(postgres) as name:
        yield name


@pytest.fixture
async def healthy(postgres: Server, template: str) -> AsyncIterator[Patient]:
    async with cloned(postgres, template) as url, connected(url) as engine, connected(url) as listen:
        projections = [projection for aggregate in AGGREGATES for projection in aggregate.projections]
        statuses = ProjectionStatuses(PostgresEventLog(engine), engine, projections)
        yield Patient(engine, engine, listen, statuses, lambda: (50, 100))


def at_fault(findings: list[Finding], verdict: str = "fault") -> list[tuple[str, str]]:
    found = [one for one in findings if one.verdict == verdict]
    assert all(one.remedy for one in found), "nobody is told what to do"
    return [(one.check, one.found) for one in found]


async def run(engine: AsyncEngine, *statements: str) -> None:
    async with engine.connect() as connection:
        for statement in statements:
            await connection.execute(text(statement))


@asynccontextmanager
async def planted(engine: AsyncEngine, setting: str) -> AsyncIterator[None]:
    """Set something of the whole server while this lasts."""
    name = setting.partition(" ")[0]
    await run(engine, f"ALTER SYSTEM SET {setting}", "SELECT pg_reload_conf()")
    try:
        await _until_reloaded(engine, name, changed=True)
        yield
    finally:
        await run(engine, f"ALTER SYSTEM RESET {name}", "SELECT pg_reload_conf()")
        await _until_reloaded(engine, name, changed=False)


async def _until_reloaded(engine: AsyncEngine, name: str, *, changed: bool) -> None:
    """Ask on new connections until they have what was set: the server reads its files in its own time."""

    async def is_read() -> bool:
        await engine.dispose()
        async with engine.connect() as connection:
            query = text("SELECT setting <> coalesce(boot_val, '') FROM pg_settings WHERE name = :name")
            return bool(await connection.scalar(query, {"name": name})) == changed

    await wait_until(is_read, f"{name} is read")


async def test_nothing_is_wrong_with_a_healthy_ledger(healthy: Patient) -> None:
    found = await examine(healthy)
    assert at_fault(found) == []
    assert {one.check for one in found} == {
        "version", "durability", "clock", "disk", "replication", "connections", "schema", "roles", "guards", "listener", "projections",
    }  # fmt: skip


@pytest.mark.parametrize("setting", ["fsync = off", "full_page_writes = off", "synchronous_commit = off"])
async def test_settings_that_lose_what_was_acknowledged(healthy: Patient, setting: str) -> None:
    async with planted(healthy.log, setting):
        ((check, found),) = at_fault(await examine(healthy))
    assert check == "durability"
    assert found.startswith(setting.replace("=", "is"))


async def test_a_role_that_does_not_wait_for_the_disk(healthy: Patient) -> None:
    name = healthy.log.url.database
    await run(healthy.log, f'ALTER ROLE daicho_command IN DATABASE "{name}" SET synchronous_commit = off')
    ((check, found),) = at_fault(await examine(healthy))
    assert (check, found.partition(":")[0]) == ("durability", "synchronous_commit=off for daicho_command")


@pytest.mark.parametrize(("seconds", "verdict"), [(3600, "fault"), (-3600, "fault"), (3, "look")])
async def test_clocks_that_differ(healthy: Patient, seconds: int, verdict: str) -> None:
    patient = Patient(
        healthy.log,
        healthy.read,
        healthy.listen,
        healthy.statuses,
        None,
        lambda: datetime.now(UTC) + timedelta(seconds=seconds),
    )
    assert "clock" in dict(at_fault(await examine(patient), verdict))


@pytest.mark.parametrize(("free", "verdict"), [(10, "fault"), (90 << 30, "look")])
async def test_a_disk_that_fills(healthy: Patient, free: int, verdict: str) -> None:
    patient = Patient(healthy.log, healthy.read, healthy.listen, healthy.statuses, lambda: (free, 1000 << 30))
    assert "disk" in dict(at_fault(await examine(patient), verdict))


async def test_a_standby_that_is_waited_for_and_away(healthy: Patient) -> None:
    async with planted(healthy.log, "synchronous_standby_names = 'db2'"):
        faults = dict(at_fault(await examine(healthy)))
    assert "appends stand still" in faults["replication"]


async def test_a_slot_that_nobody_reads(healthy: Patient) -> None:
    await run(healthy.log, "SELECT pg_create_physical_replication_slot('gone', true)")
    try:
        looks = dict(at_fault(await examine(healthy), "look"))
    finally:
        await run(healthy.log, "SELECT pg_drop_replication_slot('gone')")
    assert "slot gone" in looks["replication"]


async def test_connections_that_run_out(healthy: Patient) -> None:
    async with connected(healthy.log.url.render_as_string(hide_password=False), 40) as others:
        held = [await others.connect() for _ in range(36 - await _used(healthy.log))]
        faults = dict(at_fault(await examine(healthy)))
        for one in held:
            await one.close()
    assert faults["connections"].startswith("3")


async def _used(engine: AsyncEngine) -> int:
    query = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    async with engine.connect() as connection:
        return int(await connection.scalar(query) or 0)


async def test_a_schema_of_another_release(healthy: Patient) -> None:
    await run(healthy.log, "UPDATE event_store.alembic_version SET version_num = '0001'")
    found = await examine(healthy)
    assert [check for check, _ in at_fault(found)] == ["schema"]
    assert "roles" not in {one.check for one in found}, "a schema that is not known was asked"


async def test_a_role_that_may_alter_the_log(healthy: Patient) -> None:
    await run(healthy.log, "GRANT DELETE ON event_store.events TO daicho_query")
    assert at_fault(await examine(healthy)) == [("roles", "daicho_query may alter the log")]


async def test_a_role_that_may_not_read_the_log(healthy: Patient) -> None:
    await run(healthy.log, "REVOKE ALL ON SCHEMA event_store FROM daicho_command")
    assert at_fault(await examine(healthy)) == [("roles", "daicho_command may not read the log")]


async def test_guards_that_are_off(healthy: Patient) -> None:
    await run(healthy.log, "ALTER TABLE event_store.events DISABLE TRIGGER events_are_append_only")
    ((check, found),) = at_fault(await examine(healthy))
    assert (check, found.partition(":")[0]) == ("guards", "events_are_append_only of event_store.events is off")


async def test_guards_that_are_gone(healthy: Patient) -> None:
    await run(healthy.log, "DROP TRIGGER seals_are_append_only ON event_store.seals")
    ((check, found),) = at_fault(await examine(healthy))
    assert (check, found.partition(":")[0]) == ("guards", "seals_are_append_only of event_store.seals is gone")


async def test_a_role_of_the_operators_own_that_may_do_more(healthy: Patient) -> None:
    name = healthy.log.url.database
    await run(
        healthy.log, "CREATE ROLE app_commands LOGIN IN ROLE daicho_command", "GRANT UPDATE ON event_store.events TO app_commands",
        f'ALTER ROLE app_commands IN DATABASE "{name}" SET synchronous_commit = off',
    )  # fmt: skip
    try:
        faults = at_fault(await examine(healthy))
    finally:
        await run(healthy.log, "DROP OWNED BY app_commands", "DROP ROLE app_commands")
    assert ("roles", "app_commands may alter the log") in faults
    assert "synchronous_commit=off for app_commands" in dict(faults)["durability"]


async def test_who_may_not_see_others_is_told_so(healthy: Patient) -> None:
    url = healthy.log.url
    await run(healthy.log, "ALTER ROLE daicho_query LOGIN")
    async with connected(url.set(username="daicho_query").render_as_string(hide_password=False)) as few:
        found = await examine(Patient(few, healthy.read, healthy.listen, healthy.statuses))
    assert [check for check, _ in at_fault(found, "look")] == ["sight"]
    assert {"replication", "connections"}.isdisjoint(one.check for one in found)


async def test_a_listener_that_hears_nothing(healthy: Patient, postgres: Server) -> None:
    """As behind a pooler: here, it is in another database."""
    async with connected(postgres.admin_url) as elsewhere:
        patient = Patient(healthy.log, healthy.read, elsewhere, healthy.statuses)
        assert [check for check, _ in at_fault(await examine(patient))] == ["listener"]


async def test_a_projection_that_stands_still(healthy: Patient) -> None:
    append = """
    SELECT event_store.append(ARRAY['order'], ARRAY[gen_random_uuid()], ARRAY[0], ARRAY[1], ARRAY['OrderPlaced'], ARRAY[1::smallint],
        ARRAY[gen_random_uuid()], ARRAY['{}'], ARRAY['{}'], ARRAY[now() - interval '1 hour'], ARRAY[NULL::uuid])
    """
    await run(healthy.log, append)
    assert [check for check, _ in at_fault(await examine(healthy), "look")] == ["projections"] * 3


async def test_the_command_tells_and_ends_with_1(healthy: Patient) -> None:
    url = healthy.log.url.render_as_string(hide_password=False)
    code, output = await daicho(url, "doctor")
    assert code == 0, output
    assert output.splitlines()[0].startswith("ok     version      PostgreSQL")
    await run(healthy.log, "ALTER TABLE event_store.seals DISABLE TRIGGER seals_are_append_only")
    code, output = await daicho(url, "doctor")
    assert code == 1
    assert "FAULT  guards       seals_are_append_only of event_store.seals is off" in output
    assert "→ ALTER TABLE event_store.seals ENABLE ALWAYS TRIGGER seals_are_append_only" in output
    code, output = await daicho(url, "doctor", "--json")
    assert [one["check"] for one in json.loads(output[: output.rindex("]") + 1]) if one["verdict"] == "fault"] == [
        "guards"
    ]
