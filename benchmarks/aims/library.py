"""The store as a library: 256 appends at once and one alone, beside `pgbench`, multi-row INSERTs and `eventsourcing`."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec

from benchmarks import floor, logs, pgbench, servers
from benchmarks.context import Context
from benchmarks.results import Aim, Ratio, Result, ratio, series
from command_service.event_store import Appended
from command_service.group_commit import GroupCommit, Limits
from command_service.postgres_store import PostgresEventStore
from shared.database import create_engine
from shared.ids import new_id

AT_ONCE = 256
_THREADS = 4
"""What `eventsourcing` is fastest with: its saves take turns on a table lock."""

_EMMETT, _EVENTSOURCING_THEN = 2270, 870
"""Appends a second of two libraries, measured once on one machine; Emmett runs in Node and is not measured here."""


async def measure(context: Context) -> list[Result]:
    """Measure all in turn on one server."""
    url = await servers.fresh_database(context.postgres, "library")
    await floor.make_table(url)
    seconds = context.seconds
    legs: dict[str, Callable[[], Awaitable[float]]] = {
        "Daicho, 256 at once": partial(_appends, url, AT_ONCE, seconds),
        "Daicho, one at a time": partial(_appends, url, 1, seconds),
        "multi-row INSERT": partial(floor.multi_row_inserts, url, AT_ONCE, seconds),
    }
    if pgbench.program():
        legs["pgbench, one client"] = partial(pgbench.inserts_a_second, url, 1, seconds)
        legs["pgbench, 64 clients"] = partial(pgbench.inserts_a_second, url, 64, seconds)
    if find_spec("eventsourcing"):
        from benchmarks.peers.eventsourcing_orders import appends_a_second  # noqa: PLC0415 - only `make bench` has it

        peer = await servers.empty_database(context.postgres, "eventsourcing_library")
        legs["eventsourcing"] = partial(asyncio.to_thread, appends_a_second, peer, seconds, _THREADS)
    rates = await context.in_turn(legs)
    return [_result(rates)]


def _result(rates: dict[str, list[float]]) -> Result:
    many, alone = rates["Daicho, 256 at once"], rates["Daicho, one at a time"]
    ratios: list[Ratio] = [
        ratio("Daicho / multi-row INSERT", many, rates["multi-row INSERT"], Aim(number=3, bound=0.4))
    ]
    notes = ["Daicho's events are sealed, checked for version and idempotency, and notified; the INSERTs are not."]
    if "pgbench, one client" in rates:
        of_one = ratio(
            "Daicho, one at a time / pgbench, one client", alone, rates["pgbench, one client"], Aim(number=3, bound=0.5)
        )
        ratios += [of_one, ratio("Daicho / pgbench, 64 clients", many, rates["pgbench, 64 clients"])]
    else:
        notes.append("There is no pgbench here.")
    if "eventsourcing" in rates:
        emmett = [rate * _EMMETT / _EVENTSOURCING_THEN for rate in rates["eventsourcing"]]
        ratios += [
            ratio("Daicho / eventsourcing", many, rates["eventsourcing"]),
            ratio("Daicho / Emmett, scaled", many, emmett, Aim(number=3, bound=8.0)),
        ]
        notes.append(
            f"Emmett is not run: where it appended {_EMMETT:,} events a second, eventsourcing appended {_EVENTSOURCING_THEN}, "
            "so it is taken to be that many times as fast as eventsourcing is here. There is no pgbench figure of that "
            "machine to scale by."
        )
    return Result(
        name="library",
        title="Appending by the store as a library",
        settings=f"events of one order each; {AT_ONCE} rows in a multi-row INSERT, prepared, on one connection; "
        f"eventsourcing in {_THREADS} threads",
        series=tuple(series(name, "events/s", found) for name, found in rates.items()),
        ratios=tuple(ratios),
        notes=tuple(notes),
    )


@asynccontextmanager
async def group_commit(url: str) -> AsyncIterator[GroupCommit]:
    """Run a group commit as the command service does."""
    engine = create_engine(url, application_name="daicho-append", pool_size=1)
    committing = GroupCommit(PostgresEventStore(engine), Limits(), time.monotonic)
    running = asyncio.create_task(committing.run())
    try:
        yield committing
    finally:
        await committing.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await engine.dispose()


async def _appends(url: str, at_once: int, seconds: float) -> float:
    async with group_commit(url) as committing:
        await committing.append(logs.placed(new_id()))
        count, started = 0, time.perf_counter()

        async def client() -> None:
            nonlocal count
            while time.perf_counter() - started < seconds:
                outcome = await committing.append(logs.placed(new_id()))
                assert isinstance(outcome, Appended)
                count += 1

        await asyncio.gather(*(client() for _ in range(at_once)))
        return count / (time.perf_counter() - started)
