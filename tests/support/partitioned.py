"""Replicas that share a divided projection, each moved when told."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service import checkpoints
from query_service.batches import Applied, Batches
from query_service.leases import Leases
from query_service.orders.aggregate import ORDERS
from query_service.projection import DecodedEvent, Projection
from shared.event_log.reader import PostgresEventLog
from shared.orders.events import EVENTS

OF = 4


class Replica:
    """Holds leases and applies batches, when told, on two connections of its own, not in autocommit."""

    def __init__(
        self,
        log_engine: AsyncEngine,
        connections: Sequence[AsyncConnection],
        projections: Sequence[Projection] = ORDERS.projections,
        batch: int = 7,
    ) -> None:
        self.id = uuid4()
        self.batches = Batches(PostgresEventLog(log_engine), EVENTS, projections, batch)
        self._session, self._connection = connections
        self.leases = Leases(self._session.engine, self.id, self.batches.is_superseded, seconds=600)

    async def look(self) -> bool:
        """Look after its leases."""
        return await self.leases.look(self._session)

    async def apply(self, *, isolating: bool = False) -> Applied:
        """Apply a batch under the leases that it believes to hold."""
        return await self.batches.apply_next(self._connection, isolating=isolating, held=self.leases.held)

    async def drain(self) -> None:
        while (await self.apply()).events:
            pass


async def divide(engine: AsyncEngine, of: int, projections: Sequence[Projection] = ORDERS.projections) -> None:
    """Have these projections in so many partitions, from the first event on."""
    async with engine.begin() as connection:
        await checkpoints.register(connection, projections)
        await connection.execute(text("UPDATE read_model.checkpoints SET partitions = :of"), {"of": of})
        await connection.execute(
            text(
                "INSERT INTO read_model.checkpoints (projection, version, position, partitions, partition)"
                " SELECT projection, version, 0, partitions, n FROM read_model.checkpoints, generate_series(1, partitions - 1) n"
            )
        )


async def expire(engine: AsyncEngine, replica: Replica) -> None:
    """Let time pass for a replica that gives no sign of life."""
    async with engine.connect() as connection:
        for table, column in (("leases", "holder"), ("replicas", "replica")):
            statement = f"UPDATE read_model.{table} SET expires_at = '-infinity' WHERE {column} = :id"
            await connection.execute(text(statement), {"id": replica.id})


class Gate:
    """A projection that waits in the middle of a batch."""

    name = "gate"
    version = 1
    event_types = frozenset(EVENTS.classes)
    tables = ()

    def __init__(self) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    async def apply(self, connection: AsyncConnection, batch: Sequence[DecodedEvent]) -> None:
        self.reached.set()
        await self.opened.wait()

    def loader(self) -> None:
        return None


async def column(engine: AsyncEngine, query: str) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(text(query))).scalars())


async def reached(engine: AsyncEngine) -> list[int]:
    query = "SELECT position FROM read_model.checkpoints WHERE projection = 'order_summaries' ORDER BY partition"
    return await column(engine, query)


async def is_waiting(engine: AsyncEngine) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool((await column(engine, query))[0])
