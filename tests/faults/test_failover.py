"""Failover: the primary is killed and its standby promoted; the services find it by themselves, and nothing acknowledged is lost.

Where commits do not wait for the standby, something is: the suite must see that.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from daicho.embedded_postgres import _in_thread
from tests.faults.cluster import Build
from tests.faults.conftest import FAILOVERS, MUTANTS
from tests.faults.fault import FaultKind, Hand, Told
from tests.faults.history import Acknowledged, History
from tests.faults.report import told
from tests.faults.run import Plan, Result, run

pytestmark = pytest.mark.faults

SEED = 1
LOAD = 5.0
"""Seconds of load before, without a primary at most, and after."""
LEAST = 50


@dataclass(slots=True)
class Failover:
    """The fault, once: load, the kill, the promotion, load. With `left_behind` the standby misses the load's end."""

    left_behind: bool = False
    moments: list[float] = field(default_factory=list)
    """Of the event loop: when the primary was killed, and the standby promoted."""

    @asynccontextmanager
    async def inject(self, hand: Hand) -> Told:
        standby = hand.cluster.standby
        await hand.last(LOAD, LOAD)
        if self.left_behind:
            await _in_thread(standby.stop)
            await hand.last(LOAD, LOAD)
        self.moments.append(asyncio.get_running_loop().time())
        await hand.cluster.kill_postgres()
        await hand.last(0.5, 3.0)
        await _in_thread(standby.start)
        await _in_thread(standby.promote)
        self.moments.append(asyncio.get_running_loop().time())
        yield "the primary killed, the standby promoted"
        await hand.last(LOAD, LOAD)

    def plan(self, build: Build, patience: float) -> Plan:
        return Plan(SEED, 0, build, [[FaultKind("fail over", self.inject)]], patience)

    def counts(self, result: Result) -> Sequence[int]:
        """Give how many commands were acknowledged before the kill, until the promotion, and after it."""
        history = result.history
        killed, promoted = (moment - history.begun for moment in self.moments)
        when = Counter((at > killed) + (at > promoted) for at, _ in _acknowledged(history))
        return [when[0], when[1], when[2]]

    def figures(self, result: Result) -> str:
        """Tell the counts, what was lost, and how long it took."""
        history = result.history
        killed, promoted = (moment - history.begun for moment in self.moments)
        before, during, after = self.counts(result)
        in_the_log = {row.position: row.command for row in result.ending.rows}
        lost = sum(
            any(in_the_log.get(one.position) != command.id for one in command.acknowledged)
            for command in history.commands
        )
        first = min((at for at, _ in _acknowledged(history) if at > promoted), default=float("nan"))
        return (
            f"acknowledged: {before:,} before the kill, {during:,} until the promotion, {after:,} after it; lost: {lost:,}; "
            f"first new one {first - killed:.2f} s after the kill, {first - promoted:.2f} s after the promotion"
        )


def _acknowledged(history: History) -> Sequence[tuple[float, Acknowledged]]:
    """Give when each command was acknowledged first."""
    return [
        (next(one.ended for one in command.tries if one.told.startswith("2")), command.acknowledged[0])
        for command in history.commands
        if command.acknowledged
    ]


async def test_nothing_acknowledged_is_lost_in_a_failover(request: pytest.FixtureRequest) -> None:
    """I1 to I9, and both services go on without anyone's help."""
    failover = Failover()
    result = await run(failover.plan(Build(standby="synchronous"), 60))
    request.config.stash[FAILOVERS].append(f"synchronous standby: {failover.figures(result)}")
    assert not result.violations, told(result)
    before, _, after = failover.counts(result)
    assert min(before, after) > LEAST


async def test_what_an_asynchronous_standby_did_not_get_is_seen_to_be_lost(request: pytest.FixtureRequest) -> None:
    failover = Failover(left_behind=True)
    result = await run(failover.plan(Build(standby="asynchronous"), 5))
    found = Counter(violation.invariant for violation in result.violations)
    request.config.stash[FAILOVERS].append(f"asynchronous standby: {failover.figures(result)}")
    request.config.stash[MUTANTS].append(f"commits do not wait for the standby: I1 {found['I1']:,} times")
    assert found["I1"], told(result)
