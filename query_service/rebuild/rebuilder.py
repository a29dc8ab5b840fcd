"""The rebuilder: takes next generations from the request to the swap. Whatever ends it, the next one goes on.

Every step is one transaction that moves the state of a checkpoint; the live generation is touched by the swap alone.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from query_service import checkpoints, generations, leases, parking
from query_service.batches import Batches
from query_service.leases import LEASES
from query_service.projection import Projection
from query_service.rebuild import ranges, requests
from query_service.rebuild.comparison import compare
from query_service.rebuild.requests import Next
from query_service.retrying import Retrying
from query_service.tables import RESET
from query_service.views import REFRESHING_LOCK
from shared.backoff import backoff
from shared.database import sqlstate, translate_errors
from shared.errors import DatabaseUnavailable
from shared.event_log.events import Position
from shared.event_log.reader import EventLog

_logger = logging.getLogger(__name__)

REBUILDING_LOCK = 7234081526118
"""Session-level advisory lock in the read database: whoever holds it rebuilds."""

_LOCK_NOT_AVAILABLE = "55P03"

Load = Callable[[UUID], Awaitable[None]]
"""Loads every range of a run."""


class Rebuilder:
    """Rebuilds what is requested. `projections` are by aggregate type; `engine` is not in autocommit, without a timeout.

    Without `log_engine`, which leads to the log's tables, nothing is loaded in bulk: all is applied batch by batch.
    """

    def __init__(
        self,
        log: EventLog,
        log_engine: AsyncEngine | None,
        engine: AsyncEngine,
        projections: Mapping[str, Sequence[Projection]],
        batches: Batches,
        load: Load,
        kept: timedelta,
    ) -> None:
        self._log = log
        self._log_engine = log_engine
        self._engine = engine
        self._types = {one.name: aggregate for aggregate, some in projections.items() for one in some}
        self._projections = {one.name: one for some in projections.values() for one in some}
        self._batches = batches
        self._retrying = Retrying(log, batches.registry, list(self._projections.values()), engine)
        self._load = load
        self._kept = kept

    async def rebuild(self) -> bool:
        """Bring every rebuild that is under way to its end; False if another process is doing so.

        Raises `DatabaseUnavailable`.
        """
        with translate_errors():
            async with self._engine.connect() as holder:
                try:
                    async with holder.begin():
                        if not await holder.scalar(select(func.pg_try_advisory_lock(REBUILDING_LOCK))):
                            return False
                    async with self._engine.begin() as connection:
                        # Another release may have taken what was requested at start for itself.
                        projections = list(self._projections.values())
                        await requests.request_outdated(connection, projections, only_older=True)
                    while await self._step():
                        pass
                    async with self._engine.begin() as connection:
                        await requests.finish_old(connection, list(self._projections.values()), self._kept)
                    return True
                finally:
                    # Its session holds the lock.
                    await holder.invalidate()

    async def _step(self) -> bool:
        """Do the next thing that is to be done; False if nothing is."""
        async with self._engine.begin() as connection:
            found = await requests.under_way(connection)
            # A newer release's are its own to build.
            known = [one for one in found if one.projection in self._projections]
            known = [one for one in known if one.version <= self._projections[one.projection].version]
            for one in known:
                is_unloadable = one.state == "loading" and self._log_engine is None
                if is_unloadable or one.version != self._projections[one.projection].version:
                    # Begun by another release, or with the log's tables at hand.
                    await requests.discard(connection, self._projections[one.projection])
                    await requests.request(connection, [self._projections[one.projection]], one.partitions)
                    return True
        for state, do in (
            ("following", self._swap), ("loaded", self._catch_up), ("loading", self._go_on), ("requested", self._begin),
        ):  # fmt: skip
            if those := [one for one in known if one.state == state]:
                try:
                    await do(those)
                except Exception:
                    if not await self._were_given_up(those):
                        raise
                    _logger.info("a rebuild was given up meanwhile: %s", [one.projection for one in those])
                return True
        return False

    async def _were_given_up(self, those: Sequence[Next]) -> bool:
        """Tell whether one of them is no more what it was: then what is left is to be looked at anew."""
        async with self._engine.begin() as connection:
            found = {(one.projection, one.state, one.run) for one in await requests.under_way(connection)}
        return any((one.projection, one.state, one.run) not in found for one in those)

    async def _begin(self, requested: Sequence[Next]) -> None:
        """Make the tables of one aggregate type's projections, and divide the log."""
        aggregate_type = self._types[requested[0].projection]
        some = [self._projections[one.projection] for one in requested if self._types[one.projection] == aggregate_type]
        in_bulk = [] if self._log_engine is None else [one for one in some if one.loader() is not None]
        head, run = await self._log.head(), uuid4()
        planned = [] if self._log_engine is None else await ranges.plan(self._log_engine, aggregate_type, head)
        async with self._engine.begin() as connection:
            still = await requests.lock_next(connection, [projection.name for projection in some], "requested")
            some = [projection for projection in some if projection.name in still]
            in_bulk = [projection for projection in in_bulk if projection.name in still]
            for projection in some:
                await generations.create(connection, projection.tables)
                copied = _copied(projection) if projection in in_bulk else ()
                await generations.create_indexes(connection, [one for one in projection.tables if one not in copied])
            started = {"started_at": func.clock_timestamp()}
            slow = [projection.name for projection in some if projection not in in_bulk]
            await requests.set_state(connection, slow, "requested", "loaded", position=0, **started)
            bulk = [projection.name for projection in in_bulk]
            await requests.set_state(connection, bulk, "requested", "loading", position=head, run=run, **started)
            if planned:
                await ranges.store(connection, run, planned)

    async def _go_on(self, loading: Sequence[Next]) -> None:
        """Load what is left of a run, then make the indexes."""
        run = loading[0].run
        assert run is not None
        those = [self._projections[one.projection] for one in loading if one.run == run]
        await self._load(run)
        for projection in those:
            while await self._index(projection):
                pass
        async with self._engine.begin() as connection:
            still = await requests.lock_next(connection, [projection.name for projection in those], "loading")
            those = [projection for projection in those if projection.name in still]
            if not those:
                return
            if await ranges.left(connection, run):
                raise DatabaseUnavailable("the ranges of a rebuild were not all loaded")
            names = [projection.name for projection in those]
            await requests.set_state(connection, names, "loading", "loaded", has_parked=parking.ANY)

    async def _index(self, projection: Projection) -> bool:
        """Make one index, if there is one to make.

        Each has a transaction of its own, as long ones keep dead rows in the way of everybody else.
        """
        async with self._engine.begin() as connection:
            if not await requests.lock_next(connection, [projection.name], "loading"):
                return False
            await connection.execute(text("SET LOCAL maintenance_work_mem = '256MB'"))
            return await generations.create_index(connection, projection.tables)

    async def _catch_up(self, loaded: Sequence[Next]) -> None:
        """Bring generations on until they are a batch behind at most; from then on they move with the live one."""
        async with self._engine.connect() as connection:
            while (await self._batches.apply_next(connection, isolating=True, state="loaded")).is_full:
                pass
        async with self._engine.begin() as connection:
            await requests.set_state(connection, [one.projection for one in loaded], "loaded", "following")
            await requests.tell(connection, LEASES)

    async def _swap(self, following: Sequence[Next]) -> None:
        """Hold each generation against the live one, then have it take its place."""
        for one in following:
            projection = self._projections[one.projection]
            await self._retrying.catch_up(projection.name)
            report = await self._compare(projection)
            async with self._refreshing():
                await self._make_views(projection)
                for delay in backoff(first=0.05, limit=1.0):
                    if await self._try_swap(projection, report):
                        break
                    await asyncio.sleep(delay)
            differing = [name for name, of in report.get("tables", {}).items() if of["different_rows"]]
            level, what = (
                (logging.WARNING, f"; other rows: {', '.join(differing)}") if differing else (logging.INFO, "")
            )
            _logger.log(level, "projection %s was rebuilt%s", projection.name, what, extra={"report": report})

    async def _compare(self, projection: Projection) -> dict[str, Any]:
        """Compare at one position; a live one of another version stays where it is."""
        async with self._snapshot(projection) as connection:
            positions = await _positions(connection, projection)
            live, new = positions["live"], positions.get("next")
            if new is None or len({*live, *new}) > 1:
                return {"compared": False, "live_position": live.least, "position": new and new.least}
            tables = {table.name: await compare(connection, table) for table in projection.tables}
        return {"compared": True, "position": new.least, "tables": tables}

    @asynccontextmanager
    async def _snapshot(self, projection: Projection) -> AsyncIterator[AsyncConnection]:
        """Give a connection whose transaction sees all partitions of both generations at one position."""
        async with self._engine.connect() as connection, AsyncExitStack() as paused:
            await leases.pause(await paused.enter_async_context(self._engine.begin()))
            await self._bring_together(connection, projection)
            await connection.execution_options(isolation_level="REPEATABLE READ")
            async with connection.begin():
                # PostgreSQL takes the snapshot with the first query.
                await connection.execute(select(1))
                await paused.aclose()
                yield connection

    async def _bring_together(self, connection: AsyncConnection, projection: Projection) -> None:
        """Apply batches until both generations are at one position; the one that is ahead waits for the other."""
        while (await self._batches.apply_patiently(connection)).is_full:
            async with connection.begin():
                found = await checkpoints.find(connection, projection)
            both = [one for one in found if one.generation != "previous" and one.version == projection.version]
            if len({one.position for one in both}) < 2:  # noqa: PLR2004 - or a live one that only other code moves
                return

    @asynccontextmanager
    async def _refreshing(self) -> AsyncIterator[None]:
        """Have nobody refresh views while this lasts: a live one would get ahead of the one that takes its place."""
        async with self._engine.connect() as holder:
            try:
                async with holder.begin():
                    await holder.execute(select(func.pg_advisory_lock(REFRESHING_LOCK)))
                yield
            finally:
                # Its session holds the lock.
                await holder.invalidate()

    async def _make_views(self, projection: Projection) -> None:
        """Make the views over the next generation, of a moment when it is where the live one's checkpoint says."""
        async with self._snapshot(projection) as connection:
            await generations.create_views(connection, projection.tables)

    async def _try_swap(self, projection: Projection, report: dict[str, Any]) -> bool:
        """Swap, unless queries hold on to the tables, or the live generation is ahead."""
        try:
            async with self._engine.begin() as connection:
                await leases.pause(connection)
                async with self._engine.connect() as other:
                    await self._bring_together(other, projection)
                await checkpoints.lock(connection, [projection])
                positions = await _positions(connection, projection)
                live, new = positions.get("live"), positions.get("next")
                if new is None or (live and new.least < live.most):
                    return new is None
                await generations.swap(connection, projection.tables)
                await requests.take_over(connection, projection, report)
                await requests.tell(connection, RESET)
        except Exception as error:
            if sqlstate(error) != _LOCK_NOT_AVAILABLE:
                raise
            return False
        return True


class _Positions(NamedTuple):
    """Between which positions the partitions of a generation are."""

    least: Position
    most: Position


async def _positions(connection: AsyncConnection, projection: Projection) -> dict[str, _Positions]:
    positions: dict[str, list[Position]] = defaultdict(list)
    for one in await checkpoints.find(connection, projection):
        positions[one.generation].append(one.position)
    return {generation: _Positions(min(some), max(some)) for generation, some in positions.items()}


def _copied(projection: Projection) -> Collection[Any]:
    """Give the tables that are written by COPY alone; the others need their indexes from the beginning."""
    loader = projection.loader()
    return () if loader is None else loader.copied
