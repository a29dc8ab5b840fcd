"""`make bench`: measures each thing beside another in turn in one run (A B A B …), and writes `docs/performance.md`.

`python -m benchmarks NAME…` runs some of them; `--help` tells more.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop

from benchmarks import document, machine, servers
from benchmarks.aims import (
    batch,
    decisions,
    growth,
    lag,
    library,
    live,
    place_orders,
    processes,
    queries,
    rebuild,
    relay,
    snapshots,
)
from benchmarks.context import Context
from benchmarks.results import Result, spread
from daicho.development_keys import development_keys
from daicho.embedded_postgres import EmbeddedPostgres
from daicho.settings import OperatorSettings

Measure = Callable[[Context], Awaitable[list[Result]]]

_MODULES = (place_orders, decisions, library, batch, live, rebuild, queries, lag, processes, relay, snapshots)
BENCHMARKS: dict[str, Measure] = {module.__name__.rpartition(".")[2]: module.measure for module in _MODULES}
GROWTH = "growth"


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}: all of these if none is named; {GROWTH}"
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each leg is run (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.75, help="how long a leg lasts (%(default)s)")
    parser.add_argument(
        "--write", action="store_true", help="write docs/performance.md, and the JSON and plots that it shows"
    )
    parser.add_argument(
        "--profile", type=Path, metavar="FOLDER", help="write profiles of the services there, for speedscope"
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=growth.SIZES, metavar="EVENTS", help=f"of the logs of {GROWTH}"
    )
    parser.add_argument(
        "--hour", type=int, default=growth.REQUESTS, metavar="REQUESTS", help=f"under which {GROWTH} watches memory"
    )
    options = parser.parse_args(given)
    if unknown := set(options.names) - BENCHMARKS.keys() - {GROWTH}:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if options.write and options.names not in ([], [GROWTH]):
        parser.error("--write is for all of them, or for growth alone: a page's numbers are of one run")
    return options


async def run(postgres: EmbeddedPostgres, options: argparse.Namespace, folder: Path) -> document.Run:
    """Run these benchmarks, one after the other, on one PostgreSQL; SIGTERM ends them in good order."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    keys = development_keys(OperatorSettings(data_dir=folder))
    context = Context(postgres, keys, options.rounds, options.seconds, options.profile)
    measures = {**BENCHMARKS, GROWTH: growth.Growth(options.sizes, options.hour).measure}
    conditions = await machine.conditions(postgres.url("postgres"), options.rounds, options.seconds)
    for name, value in conditions.items():
        print(f"{name}: {value}")
    results: list[Result] = []
    for name in options.names or BENCHMARKS:
        print(f"\n{name}", flush=True)
        started = time.perf_counter()
        found = await measures[name](context)
        results += found
        for result in found:
            _show(result)
        print(f"  ({time.perf_counter() - started:.0f} s)", flush=True)
    return document.Run(conditions=conditions, results=tuple(results))


def _show(result: Result) -> None:
    print(f"\n  {result.title}" + (f": skipped, {result.skipped}" if result.skipped else f" ({result.settings})"))
    for found in result.series:
        print(f"    {found.name:48} {spread(found)} {found.unit}")
    for one in result.ratios:
        verdict = (
            "" if one.aim is None else f"  aim {one.aim.number}: {'met' if one.aim.met(one.median) else 'not met'}"
        )
        print(f"    {one.name:48} {spread(one)}{verdict}")
    for note in result.notes:
        print(f"    {note}")


def main() -> int:
    """Measure, print, and write if asked to."""
    options = _arguments(sys.argv[1:])
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="daicho-bench-") as folder, servers.postgres() as postgres:
        found = uvloop.run(run(postgres, options, Path(folder)))
    print(f"\n{document.aims(found.results)}\n\n{time.perf_counter() - started:.0f} s in all")
    if options.write:
        document.write(GROWTH if options.names == [GROWTH] else "results", found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
