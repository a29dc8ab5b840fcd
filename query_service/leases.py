"""Leases on partitions: which replica projects what. Each is a row, held for seconds, by the database's clock.

A lease that is not renewed in time, or whose holder's session is gone, is free. Its fence grows with each change of its
holder, and a batch locks the row as of its fence: who has lost a lease commits nothing under it any more, and nobody takes
one in the middle of a batch.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, case, delete, func, literal_column, null, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service.checkpoints import Held
from query_service.lease_plan import Lease, plan
from query_service.partitions import Partition
from query_service.tables import CHANNEL, RESET, checkpoints, leases, replicas
from shared.backoff import backoff
from shared.database import translate_errors

_logger = logging.getLogger(__name__)

LEASES = "leases"
"""Payload of a notification that there are leases to take, or somebody new to give some up to."""

_LOOKS = 3
"""How often a lease is renewed before it would expire."""

_SOON = 0.05
"""Seconds to the next try where a lease could not be taken yet, since a batch under it has not ended."""

_LEAVING_SECONDS = 2.0

Superseded = Callable[[AsyncConnection], Awaitable[bool]]


class Leases:
    """Keeps this replica's share of the leases until cancelled, then gives them up; `engine` is not in autocommit.

    A replica that is `superseded` takes none.
    """

    def __init__(self, engine: AsyncEngine, replica: UUID, superseded: Superseded, seconds: float) -> None:
        self.held: Held = {}
        self.failure: str | None = None
        """Why looking after leases failed; None if it last did not."""
        self.changed: Callable[[], None] = _nobody
        """Is called when `held` is not what it was."""
        self._engine = engine
        self._replica = replica
        self._superseded = superseded
        self._seconds = seconds
        self._is_aside = False
        self._woken = asyncio.Event()

    def heard(self, payload: str) -> None:
        """Tell that a read database's notification came."""
        if payload in {LEASES, RESET}:
            self._woken.set()

    @contextmanager
    def standing_aside(self) -> Iterator[None]:
        """Leave every lease to others while this lasts: what fails here may do there."""
        self._is_aside = True
        self._woken.set()
        try:
            yield
        finally:
            self._is_aside = False
            self._woken.set()

    async def run(self) -> None:
        """Look after them, again and again; after a lost connection too."""
        delays = backoff(first=0.1, limit=5.0)
        try:
            while True:
                try:
                    await self._keep()
                except Exception as error:
                    _logger.exception("leases were not seen to; trying again")
                    if self.failure is None:
                        delays = backoff(first=0.1, limit=5.0)
                    self.failure = f"leases are not seen to ({type(error).__name__}); the log has the details"
                await asyncio.sleep(next(delays))
        finally:
            await self._leave()

    async def _keep(self) -> None:
        """Look after them on one connection."""
        with translate_errors():
            async with self._engine.connect() as connection:
                try:
                    while True:
                        self._woken.clear()
                        is_settled = await self.look(connection)
                        self.failure = None
                        with suppress(TimeoutError):
                            async with asyncio.timeout(self._seconds / _LOOKS if is_settled else _SOON):
                                await self._woken.wait()
                finally:
                    # This replica lives as long as its session, to the others.
                    await connection.invalidate()

    async def _leave(self) -> None:
        self._is_aside = True
        try:
            async with asyncio.timeout(_LEAVING_SECONDS), self._engine.connect() as connection:
                await self.look(connection)
        except Exception as error:  # noqa: BLE001 - the process ends, and what it holds with it
            _logger.warning("leases were not given up, and expire: %s", error)

    async def look(self, connection: AsyncConnection) -> bool:
        """Renew, give up and take what is this replica's to, in one transaction; False if some cannot be taken yet."""
        async with connection.begin():
            takes_part = not self._is_aside and not await self._superseded(connection)
            found = await _lock_leases(connection)
            is_new = await self._register(connection, takes_part=takes_part)
            decided = plan(found, await _living(connection), self._replica)
            await self._set(connection, decided.keep, self._replica)
            await self._set(connection, decided.give_up, None)
            taken = await self._take(connection, decided.take)
            if is_new or decided.give_up:
                await connection.execute(select(func.pg_notify(CHANNEL, LEASES)))
        held = {lease.partition: lease.fence for lease in (*decided.keep, *taken)}
        if held != self.held:
            self.held = held
            self.changed()
        return len(taken) == len(decided.take)

    async def _register(self, connection: AsyncConnection, *, takes_part: bool) -> bool:
        """Have the others know, or not, that this replica can project; tell whether that is new to them."""
        row = replicas.c
        gone = row.expires_at < func.clock_timestamp()
        if not takes_part:
            await connection.execute(delete(replicas).where(gone | (row.replica == self._replica)))
            return False
        await connection.execute(delete(replicas).where(gone))
        values = {"pid": func.pg_backend_pid(), "expires_at": self._expiry()}
        statement = insert(replicas).values(replica=self._replica, **values)
        statement = statement.on_conflict_do_update(index_elements=[row.replica], set_=values)
        return bool(await connection.scalar(statement.returning(literal_column("xmax = 0"))))

    async def _take(self, connection: AsyncConnection, free: Sequence[Lease]) -> Sequence[Lease]:
        """Take those under which no batch is in the middle of its transaction."""
        if not free:
            return []
        row = leases.c
        query = select(row.partitions, row.partition).where(_among(free)).order_by(row.partitions, row.partition)
        idle = {Partition(*found) for found in await connection.execute(query.with_for_update(skip_locked=True))}
        return await self._set(connection, [lease for lease in free if lease.partition in idle], self._replica)

    async def _set(self, connection: AsyncConnection, those: Sequence[Lease], holder: UUID | None) -> Sequence[Lease]:
        """Write who holds these leases from now on, with a new fence for those who did not."""
        if not those:
            return []
        is_other = leases.c.holder.is_distinct_from(holder)
        values = {
            "holder": holder,
            "fence": leases.c.fence + case((is_other, 1), else_=0),
            "expires_at": self._expiry(),
        }
        statement = update(leases).where(_among(those)).values(values)
        found = await connection.execute(statement.returning(leases.c.partitions, leases.c.partition, leases.c.fence))
        return [Lease(Partition(of, number), holder, fence) for of, number, fence in found]

    def _expiry(self) -> "ColumnElement[datetime]":
        return func.clock_timestamp() + timedelta(seconds=self._seconds)


async def pause(connection: AsyncConnection) -> None:
    """Have no replica apply a batch until this transaction ends, once those under way have ended."""
    row = leases.c
    await connection.execute(select(row.fence).order_by(row.partitions, row.partition).with_for_update())


async def _lock_leases(connection: AsyncConnection) -> list[Lease]:
    """Give the leases on the partitions that there are, one replica after the other; batches go on meanwhile."""
    row, of = leases.c, checkpoints.c
    wanted = select(of.partitions, of.partition).where(of.state == "following").distinct()
    columns = [row.partitions, row.partition]
    await connection.execute(insert(leases).from_select(columns, wanted).on_conflict_do_nothing())
    holder = case((row.expires_at > func.clock_timestamp(), row.holder), else_=null())
    query = select(*columns, holder, row.fence).where(tuple_(*columns).in_(wanted)).order_by(*columns)
    found = await connection.execute(query.with_for_update(key_share=True))
    return [Lease(Partition(one[0], one[1]), one[2], one[3]) for one in found]


async def _living(connection: AsyncConnection) -> Collection[UUID]:
    """Give the replicas that have renewed their row in time, and whose session PostgreSQL has not seen end."""
    row = replicas.c
    is_there = row.pid.in_(select(literal_column("pid")).select_from(text("pg_stat_activity")))
    query = select(row.replica).where(row.expires_at > func.clock_timestamp(), is_there)
    return set((await connection.execute(query)).scalars())


def _among(those: Sequence[Lease]) -> ColumnElement[bool]:
    return tuple_(leases.c.partitions, leases.c.partition).in_([lease.partition for lease in those])


def _nobody() -> None:
    """Is told, as long as nobody is."""
