"""Grouped reads: concurrent reads of single aggregates share statements, as commands share appends.

A lone read is sent at once; what arrives while enough statements are in flight goes into the next one, which starts
after it came, so that it sees whatever had been projected by then.
"""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import AnyRow, fetch_all
from shared.errors import Overloaded

_IN_FLIGHT = 2
"""Statements at once: while PostgreSQL works on one, the rows of the other are taken."""

_MOST_IDS = 50
_MOST_WAITING = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    aggregate_id: UUID
    row: "asyncio.Future[AnyRow]"


class GroupedReads:
    """Reads rows by aggregate id. A statement takes `ids`, and gives a row for each of them, told apart by `about`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._waiting: dict[Executable, list[_Waiting]] = {}
        self._count = 0
        self._sending: set[asyncio.Task[None]] = set()

    async def fetch(self, statement: Executable, aggregate_id: UUID) -> AnyRow:
        """Give one aggregate's row, in company.

        Raises `Overloaded` at once if too many wait, and `DatabaseUnavailable`.
        """
        if self._count >= _MOST_WAITING:
            raise Overloaded("Too many reads are waiting.")
        one = _Waiting(aggregate_id, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(statement, []).append(one)
        self._count += 1
        self._send_next()
        return await one.row

    def _send_next(self) -> None:
        if not self._waiting or len(self._sending) >= _IN_FLIGHT:
            return
        statement = next(iter(self._waiting))
        those = self._waiting.pop(statement)
        if rest := those[_MOST_IDS:]:
            self._waiting[statement] = rest  # behind other statements
        group = those[:_MOST_IDS]
        self._count -= len(group)
        sending = asyncio.create_task(self._send(statement, group))
        self._sending.add(sending)
        sending.add_done_callback(self._sent)

    def _sent(self, sending: "asyncio.Task[None]") -> None:
        self._sending.discard(sending)
        self._send_next()

    async def _send(self, statement: Executable, group: list[_Waiting]) -> None:
        # Who gave up meanwhile is done.
        ids = list({one.aggregate_id for one in group if not one.row.done()})
        try:
            rows = {row.about: row for row in await fetch_all(self._engine, statement, {"ids": ids})} if ids else {}
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            for one in group:
                if not one.row.done():
                    one.row.set_exception(error)
        else:
            for one in group:
                if not one.row.done():
                    one.row.set_result(rows[one.aggregate_id])
