"""Injects faults, at random by seed, and writes down which and when."""

from collections.abc import Sequence
from itertools import count

from tests.faults.fault import FaultKind, Hand
from tests.faults.history import Fault, History


async def torment(hand: Hand, history: History, kinds: Sequence[FaultKind], until: float) -> None:
    """Inject faults one after the other: each kind once, in random order, and again until that moment of the run."""
    order: Sequence[FaultKind] = ()
    for number in count():
        if number >= len(kinds) and history.now() >= until:
            return
        if number % len(kinds) == 0:
            order = hand.randomness.sample(kinds, len(kinds))
        kind, started = order[number % len(kinds)], history.now()
        async with kind.inject(hand) as what:
            pass
        history.faults.append(Fault(kind.name, what, started, history.now()))
        await hand.last(0.5, 3.0)
