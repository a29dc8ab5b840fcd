"""`make bench`: prints each result as a ratio of two things measured in turn in one run (A B A B …).

`python -m benchmarks NAME…` runs some of them.
"""

import asyncio
import sys

from benchmarks import commands, queries, rebuild, servers, snapshots
from benchmarks.report import print_machine

BENCHMARKS = {"commands": commands.run, "queries": queries.run, "snapshots": snapshots.run, "rebuild": rebuild.run}


async def main(names: list[str]) -> int:
    """Run these benchmarks, or all, on one PostgreSQL."""
    if unknown := set(names) - BENCHMARKS.keys():
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
        return 2
    with servers.postgres() as postgres:
        await print_machine(postgres.url("postgres"))
        for name in names or BENCHMARKS:
            await BENCHMARKS[name](postgres)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
