"""What an aggregate is: three pure functions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.event_log.events import DomainEvent

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E", bound=DomainEvent)


@dataclass(frozen=True, slots=True)
class Decider(Generic[C, S, E]):
    """An aggregate's behaviour, without clock, ids or I/O.

    `decide` gives the events that a command leads to, or raises the `DaichoError` that refuses it;
    `evolve` is total: it gives the state after an event that has happened.
    """

    initial_state: S
    decide: Callable[[C, S], Sequence[E]]
    evolve: Callable[[S, E], S]
