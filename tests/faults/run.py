"""One run: load and faults for a while, then rest, then the checker."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import aiohttp
from sqlalchemy import text

from tests.faults.checker import Violation, check
from tests.faults.clients import CLIENTS, Client, Service, sessions
from tests.faults.cluster import Build, Cluster, cluster
from tests.faults.fault import FaultKind, Hand
from tests.faults.followers import follow_pages, follow_stream, sample_rows
from tests.faults.history import Ending, History, LogRow, Outcome
from tests.faults.nemesis import torment
from tests.faults.postgres_faults import POSTGRES_FAULTS
from tests.faults.service_faults import SERVICE_FAULTS
from tests.support.databases import connected
from tests.support.processes import daicho
from tests.support.replay import read_models
from tests.support.waiting import wait_until

LOG = "SELECT events.*, md5(events::text) AS digest FROM event_store.events AS events ORDER BY position"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: each group of faults has a hand of its own, so that one of each can be at work at once.

    `patience`: seconds within which everything must be well again by itself, once the faults are over.
    """

    seed: int
    seconds: float
    build: Build = Build()
    faults: Sequence[Sequence[FaultKind]] = (SERVICE_FAULTS, POSTGRES_FAULTS)
    patience: float = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to; `recovery`: seconds from the last fault until everything was well; `outputs`: of the services."""

    plan: Plan
    history: History
    ending: Ending
    violations: Sequence[Violation]
    recovery: float
    outputs: str


async def run(plan: Plan) -> Result:
    """Run it, on a cluster of its own."""
    async with cluster(plan.build) as system, sessions() as http:
        history = History()
        crowd = Crowd(plan, system, history, http)
        async with asyncio.TaskGroup() as group:
            followers = [group.create_task(one) for one in crowd.followers()]
            clients = [group.create_task(one.run(crowd.stop)) for one in crowd.clients]
            await asyncio.gather(
                *(
                    torment(Hand(system, random.Random(f"{plan.seed}/{number}")), history, kinds, plan.seconds)
                    for number, kinds in enumerate(plan.faults)
                )
            )
            over = history.now()
            stuck = await crowd.recover()
            recovery = history.now() - over
            crowd.stop.set()
            await asyncio.gather(*clients)
            stuck += await crowd.come_to_rest()
            for follower in followers:
                follower.cancel()
        ending = await _ending(system)
        return Result(plan, history, ending, [*stuck, *check(history, ending)], recovery, system.outputs())


class Crowd:
    """All who use the system in a run, and what is asked of it when the faults are over."""

    def __init__(self, plan: Plan, system: Cluster, history: History, http: aiohttp.ClientSession) -> None:
        self.stop = asyncio.Event()
        self._system, self._history, self._http = system, history, http
        self._patience = plan.patience
        self._services = {
            kind: [Service(one.name, one.process.url) for one in replicas] for kind, replicas in system.replicas.items()
        }
        shared: list[UUID] = []
        self.clients = [Client(number, plan.seed, history, shared, http, self._services) for number in range(CLIENTS)]

    def followers(self) -> Sequence[Coroutine[None, None, None]]:
        """Those who follow the log until cancelled."""
        services = self._services["query"]
        return (
            follow_stream(self._history, services),
            follow_pages(self._history, services, self._http),
            sample_rows(self._history, self._system),
        )

    async def recover(self) -> list[Violation]:
        """Without anyone's help, all are ready again and take commands."""
        stuck: list[Violation] = []
        for replica in (one for kind in self._system.replicas.values() for one in kind):
            stuck += await self._require(replica.process.is_ready, f"{replica.name} is ready again")
        for service in self._services["command"]:
            stuck += await self._require(partial(self._takes_commands, service), f"{service.name} takes commands")
        return stuck

    async def come_to_rest(self) -> list[Violation]:
        """No more commands; everyone who follows the log comes to its end, and rebuilds to theirs."""
        await self._system.stop("command")
        head: int = (await self._system.query("SELECT max(position) AS head FROM event_store.events"))[0].head
        stuck: list[Violation] = []
        for service in self._services["query"]:
            stuck += await self._require(partial(self._is_current, service, head), f"{service.name} is current")

        async def all_are_there() -> bool:
            seen = [*((one[-1][0] if one else 0) for one in self._history.followed.values())]
            return min(*seen, max(self._history.sampled, default=0)) >= head

        return stuck + await self._require(all_are_there, f"those who follow the log have come to its head, {head}")

    async def _takes_commands(self, service: Service) -> bool:
        return (await self.clients[0].place(service)).outcome == Outcome.DONE

    async def _is_current(self, service: Service, head: int) -> bool:
        """Tell whether every projection, live for good, is at the head, with nothing parked."""
        try:
            async with self._http.get(f"{service.url}/projections") as answer:
                found = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError):
            return False
        return answer.status == 200 and all(
            one["position"] == head and not one["rebuild"] and not one["parked"] for one in found
        )

    async def _require(self, condition: Callable[[], Awaitable[bool]], what: str) -> list[Violation]:
        try:
            await wait_until(condition, what, self._patience)
        except AssertionError as error:
            return [Violation("liveness", str(error))]
        return []


async def _ending(system: Cluster) -> Ending:
    async with connected(system.url) as engine:
        async with engine.connect() as connection:
            rows = [
                LogRow(
                    row.position, row.aggregate_type, row.aggregate_id, row.version, row.event_type, row.event_id,
                    row.event_data, row.metadata, row.occurred_at, row.digest,
                )
                for row in await connection.execute(text(LOG))
            ]  # fmt: skip
        found = await read_models(engine)
    code, output = await daicho(system.url, "verify")
    return Ending(rows, system.baseline, found, output.strip() if code else None)
