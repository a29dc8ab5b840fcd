"""Holds a next generation against the live one, both at the same position."""

from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.generations import SCHEMAS

_EXAMPLES = 5


async def compare(connection: AsyncConnection, table: Table) -> dict[str, Any]:
    """Count the rows of both generations and those that differ; name some. Both must be of one snapshot."""
    live, new = (f"{SCHEMAS[generation]}.{table.name}" for generation in ("live", "next"))
    old_rows, old_sum = await _rows_and_sum(connection, live)
    new_rows, new_sum = await _rows_and_sum(connection, new)
    report: dict[str, Any] = {"live_rows": old_rows, "next_rows": new_rows, "different_rows": 0, "examples": []}
    if (old_rows, old_sum) == (new_rows, new_sum):
        return report
    keys = ", ".join(column.name for column in table.primary_key.columns)
    joined = f"{live} AS old FULL JOIN {new} AS new USING ({keys})"
    differing = f"FROM {joined} WHERE old IS DISTINCT FROM new"
    report["different_rows"] = await connection.scalar(text(f"SELECT count(*) {differing}"))
    examples = text(f"SELECT concat_ws(' ', {keys}) {differing} ORDER BY 1 LIMIT {_EXAMPLES}")
    report["examples"] = list((await connection.execute(examples)).scalars())
    return report


async def _rows_and_sum(connection: AsyncConnection, table: str) -> tuple[Any, ...]:
    query = f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {table} t"  # noqa: S608 - our names
    return tuple((await connection.execute(text(query))).one())
