"""The doctor's checks of a ledger whose schemas are this release's."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from daicho.doctor.findings import Check, Finding, Patient, fetch

_NOTIFIED_SECONDS = 5.0

_ROLES = """
SELECT coalesce(quote_ident(rolname), 'all roles') AS role, setting
FROM pg_db_role_setting
LEFT JOIN pg_roles ON pg_roles.oid = setrole, unnest(setconfig) AS setting
WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    AND (setrole = 0 OR rolname = 'daicho_command') AND setting ~ '^synchronous_commit=(off|local)$'
"""


_ROLES = """
SELECT coalesce(quote_ident(rolname), 'all roles') AS role, setting
FROM pg_db_role_setting
LEFT JOIN pg_roles ON pg_roles.oid = setrole, unnest(setconfig) AS setting
WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    AND (setrole = 0 OR rolname = 'daicho_command') AND setting ~ '^synchronous_commit=(off|local)$'
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


async def _replication(_: Patient, connection: AsyncConnection) -> list[Finding]:
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


async def _connections(_: Patient, connection: AsyncConnection) -> list[Finding]:
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


async def _schema(history: SchemaHistory, engine: AsyncEngine) -> Finding:
    try:
        await history.require_head(engine)
    except SchemaNotAtHead as error:
        return Finding("schema", "fault", str(error), "daicho migrate")
    return Finding("schema", "ok", f"{history.name} is at this release's head")


_ROLES = """
SELECT rolname, rolsuper OR rolcreaterole OR rolbypassrls OR pg_has_role(oid, 'pg_write_all_data', 'MEMBER') AS may_all,
    has_table_privilege(oid, 'event_store.events', 'INSERT, UPDATE, DELETE, TRUNCATE') AS may_write,
    has_schema_privilege(oid, 'event_store', 'USAGE') AS may_read
FROM pg_roles WHERE rolname IN ('daicho_command', 'daicho_query') ORDER BY rolname
"""


async def _roles(_: Patient, connection: AsyncConnection) -> list[Finding]:
    rows = await fetch(connection, _ROLES)
    found = [
        Finding("roles", "fault", f"there is no role {missing}", "daicho migrate, as a role that may make roles")
        for missing in sorted({"daicho_command", "daicho_query"} - {row.rolname for row in rows})
    ]
    for row in rows:
        if row.may_all or row.may_write:
            remedy = f"ALTER ROLE {row.rolname} NOSUPERUSER NOCREATEROLE NOBYPASSRLS; REVOKE what it was granted on event_store"
            found.append(Finding("roles", "fault", f"{row.rolname} may alter the log", remedy))
        elif not row.may_read:
            found.append(
                Finding(
                    "roles",
                    "fault",
                    f"{row.rolname} may not read the log",
                    f"GRANT USAGE ON SCHEMA event_store TO {row.rolname};",
                )
            )
    return found or [Finding("roles", "ok", "daicho_command and daicho_query have the rights they need, and no more")]


_GUARDS = """
SELECT tgrelid::regclass::text AS name, tgname FROM pg_trigger
WHERE tgrelid IN ('event_store.events'::regclass, 'event_store.seals'::regclass) AND NOT tgisinternal AND tgenabled <> 'A'
ORDER BY 1
"""


async def _guards(_: Patient, connection: AsyncConnection) -> list[Finding]:
    found = [
        Finding(
            "guards",
            "fault",
            f"{row.tgname} of {row.name} is off: the log may be altered",
            f"ALTER TABLE {row.name} ENABLE ALWAYS TRIGGER {row.tgname}; then daicho verify",
        )
        for row in await fetch(connection, _GUARDS)
    ]
    return found or [Finding("guards", "ok", "events and seals can only be appended")]


async def _listener(patient: Patient, connection: AsyncConnection) -> list[Finding]:
    """Notify on one connection, and see whether the one that the query service LISTENs on hears it."""
    heard = asyncio.Event()
    async with patient.listen.connect() as listening:
        raw: Any = (await listening.get_raw_connection()).driver_connection
        await raw.add_listener("daicho_doctor", lambda *_: heard.set())
        # A notification is a commit, and one that waits for a standby may wait for ever.
        for statement in ("SET synchronous_commit = local", "NOTIFY daicho_doctor", "RESET synchronous_commit"):
            await connection.execute(text(statement))
        try:
            async with asyncio.timeout(_NOTIFIED_SECONDS):
                await heard.wait()
        except TimeoutError:
            remedy = "DAICHO_LISTEN_DATABASE_URL must lead to the event log's own database, past any pooler"
            return [Finding("listener", "fault", "a notification does not arrive: projections only poll", remedy)]
        finally:
            await listening.invalidate()
    return [Finding("listener", "ok", "notifications arrive")]


async def _projections(patient: Patient, _: AsyncConnection) -> list[Finding]:
    found = []
    for one in await patient.statuses.list():
        behind = f"{one.name} is {one.lag_events:,} events and {one.lag_seconds:.0f} s behind"
        if one.parked:
            found.append(
                Finding("projections", "fault", f"{one.parked:,} events of {one.name} are parked", "daicho parked list")
            )
        if one.state == "stalled":
            found.append(
                Finding(
                    "projections", "fault", f"{behind}, and stands still", "see that a query service runs, and its log"
                )
            )
        elif one.state == "outdated":
            found.append(
                Finding("projections", "look", f"{one.name} was built by another version", f"daicho rebuild {one.name}")
            )
        elif one.state == "catching-up":
            found.append(Finding("projections", "look", behind, "daicho status --watch"))
    return found or [Finding("projections", "ok", "every projection has all events")]


LEDGER_CHECKS: Final[Sequence[Check]] = (_roles, _guards, _listener, _projections)
