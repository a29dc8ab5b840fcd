"""The doctor's checks of a PostgreSQL server: whether it keeps what is acknowledged, and can go on."""

import time
from collections.abc import Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from daicho.doctor.findings import Check, Finding, Patient, Verdict, fetch

_OLDEST, _NEWEST = 16, 18
_SKEW_SECONDS = 1.0
_WORST_SKEW_SECONDS = 5.0
_FULL, _NEARLY_FULL = 0.9, 0.75
_FREE, _LITTLE_FREE = 0.02, 0.1
_KEPT_BYTES = 1 << 30


async def _version(_: Patient, connection: AsyncConnection) -> list[Finding]:
    ((number, name, user),) = await fetch(
        connection,
        "SELECT current_setting('server_version_num')::integer / 10000, current_setting('server_version'), current_user",
    )
    found = f"PostgreSQL {name}, as {user}"
    if not _OLDEST <= number <= _NEWEST:
        return [Finding("version", "fault", found, f"Daicho is made for PostgreSQL {_OLDEST} to {_NEWEST}")]
    return [Finding("version", "ok", found)]


_MUST_BE = {
    "fsync": ({"on"}, "a crash of the machine can lose or tear the whole log"),
    "full_page_writes": ({"on"}, "a crash of the machine can tear pages of the log"),
    "synchronous_commit": (
        {"on", "remote_apply", "remote_write"},
        "a crash of PostgreSQL loses acknowledged commands",
    ),
}
_FOR_ROLES = """
SELECT coalesce(quote_ident(rolname), 'all roles') AS role, setting
FROM pg_db_role_setting
LEFT JOIN pg_roles ON pg_roles.oid = setrole, unnest(setconfig) AS setting
WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    AND (
        setrole = 0 OR rolname = 'daicho_command'
        OR rolcanlogin AND EXISTS (SELECT FROM pg_roles AS command WHERE command.rolname = 'daicho_command' AND pg_has_role(setrole, command.oid, 'USAGE'))
    ) AND setting ~ '^synchronous_commit=(off|local)$'
"""


async def _durability(_: Patient, connection: AsyncConnection) -> list[Finding]:
    rows = await fetch(connection, "SELECT name, setting FROM pg_settings")
    settings = {row.name: row.setting for row in rows}
    found = [
        Finding(
            "durability",
            "fault",
            f"{name} is {settings[name]}: {danger}",
            f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();",
        )
        for name, (good, danger) in _MUST_BE.items()
        if settings[name] not in good
    ]
    found += [
        Finding(
            "durability",
            "fault",
            f"{row.setting} for {row.role}: a crash of PostgreSQL loses acknowledged commands",
            "ALTER ROLE … [IN DATABASE …] RESET synchronous_commit, or ALTER DATABASE … RESET synchronous_commit",
        )
        for row in await fetch(connection, _FOR_ROLES)
    ]
    if settings["data_checksums"] != "on":
        found.append(
            Finding(
                "durability", "look", "data_checksums is off: a disk that alters pages is not noticed", "pg_checksums"
            )
        )
    return found or [Finding("durability", "ok", "fsync, full_page_writes, synchronous_commit and checksums are on")]


async def _clock(patient: Patient, connection: AsyncConnection) -> list[Finding]:
    started, before = time.monotonic(), patient.now()
    ((there,),) = await fetch(connection, "SELECT clock_timestamp()")
    halfway = (time.monotonic() - started) / 2
    skew = (there - before).total_seconds() - halfway
    found = f"PostgreSQL's clock differs from this machine's by {skew:+.1f} s"
    if abs(skew) > halfway + _SKEW_SECONDS:
        verdict: Verdict = "fault" if abs(skew) > halfway + _WORST_SKEW_SECONDS else "look"
        return [Finding("clock", verdict, found, "have NTP set both; events tell wrong times, tokens expire wrongly")]
    return [Finding("clock", "ok", found)]


async def _disk(patient: Patient, connection: AsyncConnection) -> list[Finding]:
    ((size,),) = await fetch(connection, "SELECT pg_database_size(current_database())")
    if patient.disk is None:
        return [Finding("disk", "ok", f"{size / 1e6:,.0f} MB of database; what is free, its server alone knows")]
    free, whole = patient.disk()
    found = f"{size / 1e6:,.0f} MB of database; {free / 1e9:,.1f} GB are free, {free / whole:.0%}"
    if free < _LITTLE_FREE * whole:
        verdict: Verdict = "fault" if free < max(_FREE * whole, _KEPT_BYTES) else "look"
        return [Finding("disk", verdict, found, "make room: a full disk stops every append, and PostgreSQL with it")]
    return [Finding("disk", "ok", found)]


_STANDBYS = """
SELECT current_setting('synchronous_standby_names') AS wanted, count(*) AS standbys,
    count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) AS waited_for
FROM pg_stat_replication
"""
_SLOTS = """
SELECT slot_name, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::double precision AS kept
FROM pg_replication_slots WHERE NOT active ORDER BY slot_name
"""


_SEES = """
SELECT pg_is_in_recovery() AS is_standby, pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_others, current_user AS name
"""


async def _activity(_: Patient, connection: AsyncConnection) -> list[Finding]:
    """Look at standbys and sessions, as far as they can be seen from here: PostgreSQL shows others' to few."""
    (sight,) = await fetch(connection, _SEES)
    if sight.is_standby:
        remedy = "name the primary in DAICHO_DATABASE_URL, or all hosts (docs/how-to/fail-over.md)"
        return [Finding("replication", "fault", "this is a standby: nothing can be appended", remedy)]
    if not sight.sees_others:
        unseen = (
            f"{sight.name} may not see others' sessions and standbys: replication and connections are not looked at"
        )
        return [Finding("sight", "look", unseen, f"GRANT pg_read_all_stats TO {sight.name};")]
    return [*await _replication(connection), *await _connections(connection)]


async def _replication(connection: AsyncConnection) -> list[Finding]:
    ((wanted, standbys, waited_for),) = await fetch(connection, _STANDBYS)
    found = [
        Finding(
            "replication",
            "fault" if row.kept > _KEPT_BYTES else "look",
            f"nobody reads the slot {row.slot_name}, for which {row.kept / 1e6:,.0f} MB of WAL are kept",
            f"start its reader, or SELECT pg_drop_replication_slot('{row.slot_name}');",
        )
        for row in await fetch(connection, _SLOTS)
    ]
    if wanted and not waited_for:
        remedy = "start the standby, or empty synchronous_standby_names and know what a failover then loses"
        missing = f"commits wait for {wanted}, and it is not connected: appends stand still"
        found.append(Finding("replication", "fault", missing, remedy))
    elif standbys and not wanted:
        remedy = "set synchronous_standby_names (docs/how-to/fail-over.md)"
        unwaited = f"no commit waits for the {standbys} standby servers: a failover may lose acknowledged commands"
        found.append(Finding("replication", "look", unwaited, remedy))
    return found or [Finding("replication", "ok", f"{waited_for} standby servers are waited for")]


_CONNECTIONS = """
SELECT count(*) AS used, current_setting('max_connections')::integer AS most,
    count(*) FILTER (WHERE application_name = 'daicho-append') AS command_services,
    count(*) FILTER (WHERE application_name = 'daicho-listen') AS query_services
FROM pg_stat_activity WHERE backend_type = 'client backend'
"""
_LEFT_OPEN = """
SELECT pid, coalesce(application_name, '') AS name, extract(epoch FROM now() - state_change)::integer AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND now() - state_change > interval '60 s'
"""


async def _connections(connection: AsyncConnection) -> list[Finding]:
    ((used, most, command, query),) = await fetch(connection, _CONNECTIONS)
    found = f"{used} of {most} connections are used; {command} command and {query} query services are connected"
    findings = [
        Finding(
            "connections",
            "look",
            f"{row.name or 'a client'} left a transaction open {row.seconds} s ago: what it locked stays locked",
            f"SELECT pg_terminate_backend({row.pid});",
        )
        for row in await fetch(connection, _LEFT_OPEN)
    ]
    if used >= _NEARLY_FULL * most:
        verdict: Verdict = "fault" if used >= _FULL * most else "look"
        remedy = "raise max_connections, lower DAICHO_DATABASE_POOL_SIZE, or put a pooler in front of the queries"
        return [*findings, Finding("connections", verdict, found, remedy)]
    return [*findings, Finding("connections", "ok", found)]


SERVER_CHECKS: Final[Sequence[Check]] = (_version, _durability, _clock, _disk, _activity)
