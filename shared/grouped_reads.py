"""Grouped reads: concurrent reads of single aggregates share statements, as commands share appends.

A lone read is sent at once; what arrives while enough statements are in flight goes into the next one, which starts
after it came, so that it sees whatever had been committed by then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from shared.errors import Overloaded

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_IN_FLIGHT = 2
"""Statements at once: while PostgreSQL works on one, the rows of the other are taken."""

_MOST_WAITING = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[V]):
    aggregate_id: UUID
    value: "asyncio.Future[V]"


class GroupedReads(Generic[K, V]):
    """Reads by aggregate id. `read` takes what a group has in common and its ids, `most` of them; it gives a value for each."""

    def __init__(self, read: Callable[[K, Sequence[UUID]], Awaitable[Mapping[UUID, V]]], most: int = 50) -> None:
        self._read = read
        self._most = most
        self._waiting: dict[K, list[_Waiting[V]]] = {}
        self._count = 0
        self._sending: set[asyncio.Task[None]] = set()

    async def fetch(self, common: K, aggregate_id: UUID) -> V:
        """Give what is read of one aggregate, in company of those who have this in common.

        Raises `Overloaded` at once if too many wait, and what `read` raises.
        """
        if self._count >= _MOST_WAITING:
            raise Overloaded("Too many reads are waiting.")
        value: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        one = _Waiting(aggregate_id, value)
        self._waiting.setdefault(common, []).append(one)
        self._count += 1
        self._send_next()
        return await value

    def _send_next(self) -> None:
        if not self._waiting or len(self._sending) >= _IN_FLIGHT:
            return
        common = next(iter(self._waiting))
        those = self._waiting.pop(common)
        if rest := those[self._most :]:
            self._waiting[common] = rest  # behind others
        group = those[: self._most]
        self._count -= len(group)
        sending = asyncio.create_task(self._send(common, group))
        self._sending.add(sending)
        sending.add_done_callback(self._sent)

    def _sent(self, sending: "asyncio.Task[None]") -> None:
        self._sending.discard(sending)
        self._send_next()

    async def _send(self, common: K, group: Sequence[_Waiting[V]]) -> None:
        # Who gave up meanwhile is done.
        ids = list({one.aggregate_id for one in group if not one.value.done()})
        try:
            values = await self._read(common, ids) if ids else {}
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            for one in group:
                if not one.value.done():
                    one.value.set_exception(error)
        else:
            for one in group:
                if not one.value.done():
                    one.value.set_result(values[one.aggregate_id])
