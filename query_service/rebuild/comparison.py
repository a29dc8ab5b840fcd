"""Holds a next generation against the live one, both at the same position."""

from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.generations import SCHEMAS

_EXAMPLES = 5


async def compare(connection: AsyncConnection, table: Table) -> dict[str, Any]:
    """Count the rows of both generations and those that differ; name some. Both must be of one snapshot."""
    live, new = (f"{SCHEMAS[generation]}.{table.name}" for generation in ("live", "next"))
    counts = text(
        f"SELECT (SELECT count(*) FROM {live}) AS live, (SELECT count(*) FROM {new}) AS next,"  # noqa: S608 - our names
        f" (SELECT sum(hashtextextended(t::text, 0)) FROM {live} t) IS NOT DISTINCT FROM"
        f" (SELECT sum(hashtextextended(t::text, 0)) FROM {new} t) AS same"
    )
    found = (await connection.execute(counts)).one()
    report: dict[str, Any] = {"live_rows": found.live, "next_rows": found.next, "different_rows": 0, "examples": []}
    if found.live == found.next and found.same:
        return report
    keys = ", ".join(column.name for column in table.primary_key.columns)
    joined = f"{live} AS old FULL JOIN {new} AS new USING ({keys})"
    differing = f"FROM {joined} WHERE old IS DISTINCT FROM new"
    report["different_rows"] = await connection.scalar(text(f"SELECT count(*) {differing}"))
    examples = text(f"SELECT concat_ws(' ', {keys}) {differing} ORDER BY 1 LIMIT {_EXAMPLES}")
    report["examples"] = list((await connection.execute(examples)).scalars())
    return report
