"""Faults of the services and their way to PostgreSQL."""

import signal
from collections.abc import Sequence
from contextlib import asynccontextmanager, suppress

from tests.faults.fault import FaultKind, Hand, Told

APPENDS = b"correlation_id"
"""What an append's parameters hold, and no other request of a service."""


@asynccontextmanager
async def command_service_killed(hand: Hand) -> Told:
    victim = hand.replica("command")
    victim.signal(signal.SIGKILL)
    yield victim.name


@asynccontextmanager
async def query_service_killed(hand: Hand) -> Told:
    victim = hand.replica("query")
    victim.signal(signal.SIGKILL)
    yield victim.name


@asynccontextmanager
async def service_paused(hand: Hand) -> Told:
    victim = hand.replica("command", "query")
    process = victim.process.process
    assert process is not None
    victim.signal(signal.SIGSTOP)
    try:
        yield victim.name
        await hand.last(0.5, 4.0)
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def connections_cut(hand: Hand) -> Told:
    victim = hand.replica("command", "query")
    victim.proxy.cut()
    yield victim.name


@asynccontextmanager
async def network_parted(hand: Hand) -> Told:
    victim = hand.replica("command", "query")
    victim.proxy.cut(stay_away=True)
    try:
        yield victim.name
        await hand.last(0.5, 4.0)
    finally:
        victim.proxy.heal()


@asynccontextmanager
async def packets_dropped(hand: Hand) -> Told:
    """Nothing passes, one way or both; then the connections break, or what was held arrives late."""
    victim, way = hand.replica("command", "query"), hand.randomness.choice(["requests", "answers", "both"])
    if way != "answers":
        victim.proxy.hold_requests()
    if way != "requests":
        victim.proxy.hold_answers()
    try:
        yield f"{victim.name}, {way}"
        await hand.last(0.5, 4.0)
        if hand.randomness.random() < 0.5:
            victim.proxy.cut()
    finally:
        victim.proxy.heal()


@asynccontextmanager
async def packets_delayed(hand: Hand) -> Told:
    victim = hand.replica("command", "query")
    victim.proxy.delay = hand.randomness.uniform(0.01, 0.1)
    try:
        yield f"{victim.name}, {victim.proxy.delay * 1000:.0f} ms"
        await hand.last(1.0, 3.0)
    finally:
        victim.proxy.delay = 0.0


@asynccontextmanager
async def answers_lost(hand: Hand) -> Told:
    """Appends are carried out, and their connections cut instead of answering."""
    victim = hand.replica("command")
    victim.proxy.lose_answers(APPENDS, hand.randomness.randint(1, 5))
    try:
        yield victim.name
        await hand.last(0.5, 2.0)
    finally:
        victim.proxy.lose_answers(APPENDS, 0)


SERVICE_FAULTS: Sequence[FaultKind] = (
    FaultKind("kill -9 command service", command_service_killed),
    FaultKind("kill -9 query service", query_service_killed),
    FaultKind("pause a service", service_paused),
    FaultKind("cut connections", connections_cut),
    FaultKind("part the network", network_parted),
    FaultKind("drop packets", packets_dropped),
    FaultKind("delay packets", packets_delayed),
    FaultKind("lose answers of appends", answers_lost),
)
