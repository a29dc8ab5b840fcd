"""Makes the doctor's checks."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from daicho.doctor.findings import Check, Finding, Patient
from daicho.doctor.ledger import LEDGER_CHECKS
from daicho.doctor.server import SERVER_CHECKS
from shared.schema import EVENT_STORE, READ_MODEL, SchemaHistory, SchemaMismatch


async def examine(patient: Patient) -> list[Finding]:
    """Make every check that makes sense: without its schemas, a ledger is asked for no more.

    Raises `DatabaseUnavailable`.
    """
    found = await _made(SERVER_CHECKS, patient)
    schemas = [await _schema(EVENT_STORE, patient.log), await _schema(READ_MODEL, patient.read)]
    found += schemas
    if all(one.verdict == "ok" for one in schemas):
        found += await _made(LEDGER_CHECKS, patient)
    return found


async def _made(checks: Sequence[Check], patient: Patient) -> list[Finding]:
    async with patient.log.connect() as connection:
        return [finding for check in checks for finding in await check(patient, connection)]


async def _schema(history: SchemaHistory, engine: AsyncEngine) -> Finding:
    try:
        await history.require(engine)
    except SchemaMismatch as error:
        return Finding("schema", "fault", str(error), "daicho migrate")
    return Finding("schema", "ok", f"{history.name} serves this release")
