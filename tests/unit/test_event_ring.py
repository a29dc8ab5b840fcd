"""The last events in memory: bounded (I10), and nothing is skipped or given twice on the way through them (I4)."""

import json
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from query_service.event_pages import EventFilters, EventTraits
from query_service.event_ring import PIECE_BYTES, EventRing
from query_service.postgres_pages import PostgresEventPages
from query_service.rendered_events import RenderedEvent, render
from shared.event_log.events import EventId, Position, RecordedEvent, StreamId, Version
from shared.orders.events import EVENTS
from tests.support import golden
from tests.support.events import WHEN

ORDER = UUID(int=1)


def an_event(position: int, text: bytes = b"", event_type: str = "Happened") -> RenderedEvent:
    content = b"%d;" % position + text
    return RenderedEvent(Position(position), EventTraits(event_type, StreamId("order", ORDER), None), content, content)


def filled(first: int, last: int, limit: int = 10**6, text: bytes = b"") -> EventRing:
    ring = EventRing(limit)
    ring.restart(Position(first - 1))
    ring.extend([an_event(position, text) for position in range(first, last + 1)], Position(last))
    return ring


def positions(content: bytes) -> list[int]:
    return [int(one) for one in content.split(b";") if one.isdigit()]


def test_what_follows_a_position_is_given_joined() -> None:
    ring = filled(5, 8)
    assert ring.take(Position(4), "current") == (b"5;6;7;8;", 8)
    assert ring.take(Position(6), "current") == (b"7;8;", 8)
    assert ring.take(Position(8), "current") == (b"", 8)
    assert ring.take(Position(20), "current") == (b"", 20)


def test_the_oldest_go_when_there_are_too_many() -> None:
    five = filled(6, 10).size
    ring = filled(1, 10, limit=five)
    assert (ring.start, ring.end) == (5, 10)
    assert ring.size <= five
    assert ring.is_past(Position(4))
    assert not ring.is_past(Position(5))
    assert ring.take(Position(5), "current").content == b"6;7;8;9;10;"
    assert ring.dropped_by(1) == 6
    assert ring.dropped_by(10**6) == 10


def test_one_that_is_larger_than_all_leaves_nothing() -> None:
    ring = filled(1, 3, limit=3000)
    ring.extend([an_event(4, b"x" * 4000)], Position(4))
    assert (ring.start, ring.end, ring.size) == (4, 4, 0)
    ring.extend([an_event(5)], Position(5))
    assert ring.take(Position(4), "current") == (b"5;", 5)


def test_while_nobody_follows_it_holds_nothing_and_is_past_nothing() -> None:
    ring = filled(1, 3)
    ring.restart(None)
    assert (ring.size, ring.end, ring.is_past(Position(0))) == (0, None, False)
    assert ring.take(Position(2), "current") == (b"", 2)


def test_a_piece_is_bounded_and_goes_on_where_it_ended() -> None:
    ring = filled(1, 5, text=b"x" * (PIECE_BYTES // 3))
    first = ring.take(Position(0), "current")
    assert len(first.content) <= PIECE_BYTES
    assert first.cursor == 2
    assert ring.take(first.cursor, "current").cursor == 4
    large = filled(1, 2, text=b"x" * PIECE_BYTES)
    assert large.take(Position(0), "current").cursor == 1


def test_those_who_are_at_one_place_are_given_one_object_until_there_is_more() -> None:
    ring = filled(1, 5)
    assert ring.take(Position(2), "current") is ring.take(Position(2), "current")
    for after in range(50):
        ring.take(Position(after), "stored")
    assert len(ring._shared) < 10
    ring.extend([an_event(6)], Position(6))
    assert ring.take(Position(2), "current").content == b"3;4;5;6;"


def test_only_what_is_wanted_is_given_and_the_cursor_passes_the_rest() -> None:
    ring = EventRing(10**6)
    ring.restart(Position(0))
    ring.extend([an_event(n, event_type="Odd" if n % 2 else "Even") for n in range(1, 8)], Position(7))
    assert ring.take(Position(1), "current", lambda event: event.event_type == "Odd") == (b"3;5;7;", 7)
    assert ring.take(Position(1), "current", lambda event: event.event_type == "Other") == (b"", 7)


def test_both_forms_are_one_object_unless_they_differ() -> None:
    old = golden.load_event("OrderPlaced", 1)
    for version, data in ((2, "{}"), (1, json.dumps(old.data))):
        event = RecordedEvent(
            Position(7),
            StreamId("order", ORDER),
            Version(1),
            "OrderPlaced",
            version,
            EventId(ORDER),
            data,
            "{}",
            WHEN,
            WHEN,
        )
        rendered = render(event, EVENTS)
        assert (rendered.stored is rendered.current) == (version == 2)
        assert rendered.size > len(rendered.current)
        for text in (rendered.current, rendered.stored):
            assert text.startswith(b"event: OrderPlaced\ndata: {")
            assert text.endswith(b"}\nid: 7\n\n")


def test_traits_are_those_that_the_log_is_searched_by() -> None:
    def traits(metadata: str) -> str | None:
        stream = StreamId("order", ORDER)
        event = RecordedEvent(Position(1), stream, Version(1), "X", 1, EventId(ORDER), "{}", metadata, WHEN, WHEN)
        return EventTraits.of(event).correlation_id

    assert traits('{"correlation_id": "a"}') == "a"
    assert traits('{"correlation_id": 7}') == "7"
    assert traits('{"correlation_id": null}') is None
    assert traits("{}") is None
    assert traits("[]") is None


def test_no_filter_at_all_is_told_from_one_that_wants_nothing() -> None:
    pages = PostgresEventPages.__new__(PostgresEventPages)
    pages._aggregate_types = ["order"]
    assert pages.matching(EventFilters()) is None
    nothing = pages.matching(EventFilters(event_types=[]))
    assert nothing is not None
    assert not nothing(EventTraits("X", StreamId("order", ORDER), None))


@given(
    limit=st.integers(0, 9000),
    batches=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 1500), st.integers(0, 3)), max_size=25),
    every=st.sampled_from([None, 1, 2, 5]),
)
def test_whoever_reads_the_log_where_the_ring_is_past_sees_every_event_once(
    limit: int, batches: list[tuple[int, int, int]], every: int | None
) -> None:
    """A batch is so many events of such a size, after which the client takes so many times."""
    ring = EventRing(limit)
    ring.restart(Position(0))
    wanted = None if every is None else (lambda event: event.event_type == "Wanted")
    head = cursor = Position(0)
    seen: list[int] = []
    for count, size, takes in [*batches, (1, 0, 1000)]:
        names = {n: "Other" if n % (every or 1) else "Wanted" for n in range(head + 1, head + count + 1)}
        ring.extend([an_event(n, b";" * size, name) for n, name in names.items()], Position(head + count))
        head = Position(head + count)
        assert ring.size <= limit
        for _ in range(takes):
            if ring.is_past(cursor):
                cursor = Position(cursor + 1)  # read from the log
                seen += [] if cursor % (every or 1) else [cursor]
            else:
                content, cursor = ring.take(cursor, "current", wanted)
                seen += positions(content)
    assert cursor == head
    assert seen == [n for n in range(1, head + 1) if n % (every or 1) == 0]
