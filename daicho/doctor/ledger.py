"""The doctor's checks of a ledger whose schemas are this release's."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from daicho.doctor.findings import Check, Finding, Patient, fetch

_NOTIFIED_SECONDS = 5.0

_ROLES = """
SELECT rolname, rolsuper OR rolcreaterole OR rolbypassrls OR pg_has_role(oid, 'pg_write_all_data', 'MEMBER') AS may_all,
    has_table_privilege(oid, 'event_store.events', 'INSERT, UPDATE, DELETE, TRUNCATE') AS may_write,
    has_schema_privilege(oid, 'event_store', 'USAGE') AS may_read
FROM pg_roles
WHERE rolname IN ('daicho_command', 'daicho_query')
    OR rolcanlogin AND NOT rolsuper AND rolname <> current_user
        AND (pg_has_role(oid, 'daicho_command', 'USAGE') OR pg_has_role(oid, 'daicho_query', 'USAGE'))
        AND NOT pg_has_role(oid, (SELECT nspowner FROM pg_namespace WHERE nspname = 'event_store'), 'MEMBER')
ORDER BY rolname
"""
"""The services' roles, and those that log in as members of them; owners may do what they like."""


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
SELECT guard.name, guard.tgname, pg_trigger.tgname IS NULL AS is_gone
FROM (VALUES ('event_store.events', 'events_are_append_only'), ('event_store.seals', 'seals_are_append_only')) AS guard(name, tgname)
LEFT JOIN pg_trigger ON tgrelid = guard.name::regclass AND pg_trigger.tgname = guard.tgname
WHERE tgenabled IS DISTINCT FROM 'A' ORDER BY 1
"""


async def _guards(_: Patient, connection: AsyncConnection) -> list[Finding]:
    found = [
        Finding(
            "guards",
            "fault",
            f"{row.tgname} of {row.name} is {'gone' if row.is_gone else 'off'}: the log may be altered",
            "make it anew as the migrations do; then daicho verify"
            if row.is_gone
            else f"ALTER TABLE {row.name} ENABLE ALWAYS TRIGGER {row.tgname}; then daicho verify",
        )
        for row in await fetch(connection, _GUARDS)
    ]
    return found or [Finding("guards", "ok", "events and seals can only be appended")]


async def _listener(patient: Patient, connection: AsyncConnection) -> list[Finding]:
    """Notify on one connection, and see whether the one that the query service LISTENs on hears it."""
    if await connection.scalar(text("SELECT pg_is_in_recovery()")):
        return []  # A standby notifies nobody.
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
