"""Four partitions over two query services as processes: both work, and who is killed, or stands still, is followed (I5)."""

import signal
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from command_service.postgres_store import PostgresEventStore
from tests.support.partitioned import divide
from tests.support.processes import Process, service
from tests.support.replay import assert_log_is_sound, assert_read_models_equal_a_replay
from tests.support.waiting import wait_until
from tests.support.writing import writing

pytestmark = pytest.mark.load

OF = 4


class Readers:
    """Asks services about partitions and leases."""

    def __init__(self, http: httpx.AsyncClient, store: PostgresEventStore) -> None:
        self._http = http
        self._store = store

    async def leases(self, of: Process) -> int:
        answer = await self._http.get(f"{of.url}/metrics")
        (line,) = [line for line in answer.text.splitlines() if line.startswith("daicho_leases ")]
        return int(float(line.split()[1]))

    async def partitions(self, of: Process) -> list[dict[str, Any]]:
        (*_, summaries) = sorted(
            (await self._http.get(f"{of.url}/projections")).json(), key=lambda one: str(one["name"])
        )
        assert summaries["name"] == "order_summaries"
        found: list[dict[str, Any]] = summaries["partitions"]
        return found

    async def until_each_has(self, leases: Sequence[int], processes: Sequence[Process]) -> None:
        async def has() -> bool:
            return [await self.leases(each) for each in processes] == list(leases)

        await wait_until(has, f"they have {leases} leases")

    async def until_all_move(self, by: int, asked: Process) -> None:
        """Wait until so many replicas have brought every partition on."""
        start = await self._store.head()

        async def have_moved() -> bool:
            found = await self.partitions(asked)
            return len({one["holder"] for one in found} - {None}) == by and all(
                one["position"] > start for one in found
            )

        await wait_until(have_moved, f"{by} replicas bring every partition on")


@pytest.mark.timeout(180)
async def test_two_processes_share_four_partitions_and_follow_each_other(database: str, engine: AsyncEngine) -> None:
    store, pauses = PostgresEventStore(engine), {}
    await divide(engine, OF)
    async with (
        service("query", database) as one,
        service("query", database) as other,
        httpx.AsyncClient(timeout=30) as http,
    ):
        readers = Readers(http, store)
        async with writing(store):
            await readers.until_each_has([2, 2], [one, other])
            await readers.until_all_move(2, one)
            for deed in ("killed", "stopped"):
                started = perf_counter()
                await (one.kill() if deed == "killed" else _stand_still(one))
                await readers.until_each_has([OF], [other])
                pauses[deed] = perf_counter() - started
                await readers.until_all_move(1, other)
                await (one.start() if deed == "killed" else _go_on(one))
                await readers.until_each_has([2, 2], [one, other])
                await readers.until_all_move(2, one)
        head = await store.head()
        for each in (one, other):
            headers = {"Event-Position": str(head), "Prefer": "wait=30"}
            assert (await http.get(f"{each.url}/statistics", headers=headers, timeout=60)).status_code == 200
    told = ", ".join(f"{seconds:.1f} s after one was {deed}" for deed, seconds in pauses.items())
    sys.stdout.write(f"the leases had moved {told}; {await assert_log_is_sound(engine)} events\n")
    await assert_read_models_equal_a_replay(engine)


async def _stand_still(process: Process) -> None:
    process.tell(signal.SIGSTOP)


async def _go_on(process: Process) -> None:
    process.tell(signal.SIGCONT)
