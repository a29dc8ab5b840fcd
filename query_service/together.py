"""What a batch writes goes out as one statement: how far a projection lags is made of round trips."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, literal_column
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.driver import fetch_in

BEFORE: Final[ColumnElement[bool]] = literal_column("{before}")
"""A condition for a write: it holds, once the writes before it are done. So all that write at once lock in one order."""

_WAITING = "daicho.waiting"


class Write(NamedTuple):
    """An INSERT or UPDATE as the driver takes it, with the condition `BEFORE`, and RETURNING; of one table.

    `emptied` is a condition on what it returns; if that is so of any row, `cleanup` follows, a statement with its parameters.
    """

    table: str
    text: str
    arguments: Sequence[object]
    emptied: str | None = None
    cleanup: tuple[str, Sequence[object]] | None = None


@asynccontextmanager
async def together(connection: AsyncConnection) -> AsyncIterator[None]:
    """Send what is written meanwhile as one statement when this ends, in its order; what is read meanwhile is as it was before.

    Where a table is written to again, what waits is sent before. If this fails, it is not sent.
    """
    assert connection.sync_connection is not None
    waiting: list[Write] = []
    info = connection.sync_connection.info  # Of a connection that was lost, there is none to be had.
    info[_WAITING] = waiting
    try:
        yield
    finally:
        del info[_WAITING]
    if waiting:
        await _send(connection, waiting)


async def send(connection: AsyncConnection, write: Write) -> None:
    """Write in the connection's transaction, now or together with others."""
    assert connection.sync_connection is not None
    waiting: list[Write] | None = connection.sync_connection.info.get(_WAITING)
    if waiting is None:
        await _send(connection, [write])
        return
    if any(one.table == write.table for one in waiting):
        await _send(connection, waiting)
        waiting.clear()
    waiting.append(write)


async def _send(connection: AsyncConnection, writes: Sequence[Write]) -> None:
    text = _one_statement(tuple((write.text, len(write.arguments), write.emptied) for write in writes))
    for (number,) in await fetch_in(connection, text, [one for write in writes for one in write.arguments]):
        cleanup = writes[number].cleanup
        assert cleanup is not None
        await fetch_in(connection, *cleanup)


@lru_cache(maxsize=256)
def _one_statement(writes: Sequence[tuple[str, int, str | None]]) -> str:
    """Make a statement that does these in their order, and tells the numbers of those that need their cleanup."""
    parts, told = [], ["SELECT 0 WHERE false"]
    taken, before = 0, "true"
    for number, (text, count, emptied) in enumerate(writes):
        moved = re.sub(r"\$(\d+)", lambda one: f"${taken + int(one[1])}", text)  # noqa: B023 - used at once
        parts.append(f"write_{number} AS ({moved.replace('{before}', before)})")
        if emptied is not None:
            told.append(f"SELECT {number} WHERE EXISTS (SELECT FROM write_{number} WHERE {emptied})")  # noqa: S608 - our own
        taken += count
        before = f"(SELECT count(*) FROM write_{number}) IS NOT NULL"  # noqa: S608 - the same
    return f"WITH {', '.join(parts)} {' UNION ALL '.join(told)}"
