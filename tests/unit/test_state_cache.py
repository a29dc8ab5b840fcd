"""The state cache is bounded in bytes (I10) and drops what was not used for longest."""

import sys
import tracemalloc
from uuid import uuid4

from command_service.state_cache import ENTRY_BYTES, CachedState, StateCache
from shared.event_log.events import EventId, Position, StreamId, Version
from tests.support.events import WHEN, a_stream


def an_entry(version: int = 1, size: int = 100) -> CachedState:
    return CachedState(Version(version), Position(version), WHEN, b"x" * size, Version(0))


def test_it_gives_what_was_put() -> None:
    cache, stream, entry = StateCache(10_000), a_stream(), an_entry()
    assert cache.get(stream) is None
    cache.put(stream, entry)
    assert cache.get(stream) is entry
    assert cache.get(a_stream()) is None
    assert cache.bytes == ENTRY_BYTES + 100


def test_a_newer_entry_replaces_an_older_one_and_not_the_other_way_round() -> None:
    cache, stream = StateCache(10_000), a_stream()
    for version, kept in ((1, 1), (3, 3), (2, 3), (3, 3), (4, 4)):
        cache.put(stream, an_entry(version, size=version))
        entry = cache.get(stream)
        assert entry is not None
        assert (entry.version, cache.bytes) == (kept, ENTRY_BYTES + kept)


def test_the_least_recently_used_go_first() -> None:
    cache, streams = StateCache(3 * (ENTRY_BYTES + 100)), [a_stream() for _ in range(4)]
    for stream in streams[:3]:
        cache.put(stream, an_entry())
    cache.get(streams[0])
    cache.put(streams[3], an_entry())
    assert [cache.get(stream) is not None for stream in streams] == [True, False, True, True]
    cache.put(a_stream(), an_entry(size=100 + ENTRY_BYTES + 100))
    assert sum(cache.get(stream) is not None for stream in streams) == 1
    assert cache.bytes == 3 * (ENTRY_BYTES + 100)


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache, stream = StateCache(1000), a_stream()
    cache.put(stream, an_entry(size=1000))
    assert (cache.get(stream), cache.bytes) == (None, 0)


def test_forgetting_gives_the_room_back() -> None:
    cache, stream = StateCache(10_000), a_stream()
    cache.put(stream, an_entry())
    for _ in range(2):
        cache.forget(stream)
        assert (cache.get(stream), cache.bytes) == (None, 0)


def test_an_entry_takes_no_more_than_is_reckoned() -> None:
    count = 10_000
    cache = StateCache(sys.maxsize)
    tracemalloc.start()
    try:
        for number in range(count):
            stream = StreamId("order", uuid4())
            cache.put(
                stream,
                CachedState(
                    Version(1000), Position(1000 + number), WHEN.replace(), bytes(64), Version(0), EventId(uuid4())
                ),
            )
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken <= cache.bytes
