"""What an answer is kept for, and how long (I9, I10)."""

from uuid import UUID

import pytest

from query_service import answer_cache
from query_service.answer_cache import Answer, AnswerCache
from shared.event_log.events import Position, StreamId

ONE, OTHER = (StreamId("order", UUID(int=number)) for number in (1, 2))


def an_answer(position: int, subject: StreamId | str = ONE, body: bytes = b"") -> Answer:
    return Answer(subject, ("p",), Position(position), '"1"', body, [])


def test_what_was_read_before_a_touch_is_not_kept_after_it() -> None:
    cache = AnswerCache(10**6)
    cache.touch([ONE], Position(5))
    cache.put(b"old", an_answer(4), cache.epoch)
    cache.put(b"list", an_answer(4, "order"), cache.epoch)
    cache.put(b"now", an_answer(5), cache.epoch)
    cache.put(b"other", an_answer(4, OTHER), cache.epoch)
    assert [cache.get(key) is not None for key in (b"old", b"list", b"now", b"other")] == [False, False, True, True]


def test_what_was_asked_for_before_everything_was_forgotten_is_not_kept_after_it() -> None:
    cache = AnswerCache(10**6)
    epoch = cache.epoch
    cache.put(b"kept", an_answer(9), epoch)
    cache.clear(Position(5))
    cache.put(b"late", an_answer(9), epoch)
    assert cache.get(b"kept") is cache.get(b"late") is None


def test_what_is_of_before_a_restart_is_not_kept() -> None:
    """Between two positions that it jumped over, nobody told which aggregates were touched."""
    cache = AnswerCache(10**6)
    cache.touch([ONE], Position(3))
    cache.clear(Position(5))
    cache.put(b"k", an_answer(4), cache.epoch)
    assert cache.get(b"k") is None
    cache.put(b"k", an_answer(5), cache.epoch)
    assert cache.get(b"k") is not None


def test_touches_that_are_no_longer_remembered_count_for_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_cache, "_REMEMBERED", 2)
    cache = AnswerCache(10**6)
    cache.touch([ONE], Position(5))
    cache.touch([OTHER], Position(6))
    cache.touch([StreamId("order", UUID(int=3))], Position(7))
    cache.put(b"k", an_answer(4), cache.epoch)
    assert cache.get(b"k") is None


def test_it_is_bounded_in_bytes_and_the_longest_unused_goes_first() -> None:
    cache = AnswerCache(10_000)
    for number in range(20):
        cache.put(b"%d" % number, an_answer(1, body=b"x" * 1000), cache.epoch)
        cache.get(b"0")
    assert [number for number in range(20) if cache.get(b"%d" % number)] == [0, 17, 18, 19]
    assert cache._size <= 10_000
    cache.touch([ONE], Position(2))
    assert (cache._size, cache._keys) == (0, {})
