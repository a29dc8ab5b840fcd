"""Answers kept in memory, each valid until an event that affects it is projected."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from shared.event_log.events import Position, StreamId

Subject = StreamId | str
"""What an answer is about: one aggregate, or all aggregates of a type."""

_REMEMBERED = 10_000
"""How many subjects' last touches are remembered."""

_ENTRY_BYTES = 1000
"""What an entry takes beside its key and content, measured and rounded up."""


NOTE = "daicho.answer"
"""Where, in a request's ASGI scope, a `Note` is left."""


class Note(NamedTuple):
    """What an answer is about, and of which state of which projections it is.

    While events of these projections are parked, whether it is right depends on who asks: `can_be_kept` is False. One
    about an aggregate that has such events changes when they are applied, though its version may not: `has_tag` is False.
    """

    subject: Subject
    projections: tuple[str, ...]
    position: Position
    can_be_kept: bool
    has_tag: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's body and headers, about a subject, as projections had it at a position."""

    subject: Subject
    projections: Sequence[str]
    position: Position
    etag: str
    body: bytes
    headers: Sequence[tuple[bytes, bytes]]


class AnswerCache:
    """Least recently used, bounded in bytes; `limit` 0 keeps none.

    `hits`, `shared` and `misses` count the requests answered from memory, by what another had read, and by what was read.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()
        self._keys: dict[Subject, set[bytes]] = {}
        self._touched: OrderedDict[Subject, Position] = OrderedDict()
        self._forgotten = Position(0)
        self.epoch = 0
        self.hits = self.shared = self.misses = 0

    @property
    def size(self) -> int:
        """The bytes that answers take."""
        return self._size

    def get(self, key: bytes) -> Answer | None:
        """Give the answer to a request, if there is one: it holds at the position that its projections have reached."""
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def put(self, key: bytes, answer: Answer, epoch: int) -> None:
        """Keep an answer that was asked for in this epoch, unless its subject was touched since its position."""
        touched = self._touched.get(answer.subject, self._forgotten)
        if epoch != self.epoch or answer.position < touched:
            return
        self._remove(key)
        if _bytes(key, answer) > self._limit:
            return
        self._answers[key] = answer
        self._keys.setdefault(answer.subject, set()).add(key)
        self._size += _bytes(key, answer)
        while self._size > self._limit:
            self._remove(next(iter(self._answers)))

    def touch(self, streams: Iterable[StreamId], position: Position) -> None:
        """Forget the answers about these aggregates that are of before a position."""
        subjects: set[Subject] = set()
        for stream in streams:
            subjects |= {stream, stream.aggregate_type}
        for subject in subjects:
            self._touched[subject] = position
            self._touched.move_to_end(subject)
            for key in list(self._keys.get(subject, ())):
                if self._answers[key].position < position:
                    self._remove(key)
        while len(self._touched) > _REMEMBERED:
            _, last = self._touched.popitem(last=False)
            self._forgotten = max(self._forgotten, last)

    def clear(self, position: Position) -> None:
        """Forget every answer, those that are being asked for, and any that will be of before a position."""
        self._touched.clear()
        self._forgotten = position
        self._answers.clear()
        self._keys.clear()
        self._size = 0
        self.epoch += 1

    def _remove(self, key: bytes) -> None:
        answer = self._answers.pop(key, None)
        if answer is None:
            return
        self._size -= _bytes(key, answer)
        keys = self._keys[answer.subject]
        keys.remove(key)
        if not keys:
            del self._keys[answer.subject]


def _bytes(key: bytes, answer: Answer) -> int:
    return len(key) + len(answer.body) + len(answer.etag) + _ENTRY_BYTES
