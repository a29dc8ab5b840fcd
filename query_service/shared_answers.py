"""Shared answers: of those who ask the same at once, one reads for all, as concurrent commands share appends.

Whoever comes while an answer is being read waits for the next one, whose read starts after all of these came: so nobody
is given a state older than what had been projected when the request came.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from query_service.answer_cache import Answer

_REMEMBERED = 1000
"""Requests of which it is known that their answers can be shared: others are not waited for."""


@dataclass(slots=True, eq=False)
class Turn:
    """Who has it reads, for those in `sharing` too; those in `waiting` came later. Each is told an answer, a turn, or None."""

    sharing: "list[asyncio.Future[Any]]" = field(default_factory=list)
    waiting: "list[asyncio.Future[Any]]" = field(default_factory=list)


class SharedAnswers:
    """Tells each request whether to read, or what another has read for it; admission bounds how many wait."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._turns: dict[bytes, Turn] = {}

    async def take_turn(self, key: bytes) -> Answer | Turn | None:
        """Give the answer that another has read, or the turn to read it, which must be ended; None: read alone."""
        if key not in self._known:
            return None
        turn = self._turns.get(key)
        if turn is None:
            self._turns[key] = turn = Turn()
            return turn
        told: asyncio.Future[Answer | Turn | None] = asyncio.get_running_loop().create_future()
        turn.waiting.append(told)
        try:
            return await told
        except asyncio.CancelledError:
            if told.done() and not told.cancelled() and isinstance(given := told.result(), Turn):
                self.end(key, given, None)
            raise

    def end(self, key: bytes, turn: Turn | None, answer: Answer | None) -> None:
        """Tell of an answer that is the same for whoever asks, or that there is none; a turn ends once."""
        if answer is not None:
            self._learn(key)
        if turn is None or self._turns.get(key) is not turn:
            return
        del self._turns[key]
        waiting = [one for one in turn.waiting if not one.done()]
        if answer is not None and waiting:
            first, *others = waiting
            self._turns[key] = following = Turn(sharing=others)
            first.set_result(following)
        elif answer is None:
            self._known.pop(key, None)
            _tell(waiting, None)
        _tell(turn.sharing, answer)

    def _learn(self, key: bytes) -> None:
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _tell(those: "list[asyncio.Future[Any]]", answer: Answer | None) -> None:
    for one in those:
        if not one.done():
            one.set_result(answer)
