"""The demo's history: in the order of time, at believable hours, as the command handler would have written it."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_service.event_store import Commit
from daicho.demo.history import batches, history
from daicho.demo.rhythm import arrivals, at_work, placings
from shared.event_log.events import NewEvent, StreamId

UNTIL = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
SINCE = UNTIL - timedelta(days=180)
ORDERS = 600


@pytest.fixture(scope="module")
def commits() -> Sequence[Commit]:
    return list(history(7, ORDERS, SINCE, UNTIL))


def events(commits: Sequence[Commit]) -> list[NewEvent]:
    return [event for commit in commits for event in commit.events]


def test_the_same_seed_gives_the_same_history(commits: Sequence[Commit]) -> None:
    assert list(history(7, ORDERS, SINCE, UNTIL)) == commits
    assert list(history(8, ORDERS, SINCE, UNTIL)) != commits


def test_events_come_in_the_order_of_time_within_the_period(commits: Sequence[Commit]) -> None:
    times = [event.occurred_at for event in events(commits)]
    assert times == sorted(times)
    assert SINCE <= times[0] < SINCE + timedelta(days=3)
    assert UNTIL - timedelta(days=1) < times[-1] <= UNTIL


def test_streams_are_whole_and_time_in_them_moves_forward(commits: Sequence[Commit]) -> None:
    """I3, and decision 9."""
    streams: dict[StreamId, list[Commit]] = defaultdict(list)
    for commit in commits:
        streams[commit.stream].append(commit)
    assert len(streams) == ORDERS
    for ones in streams.values():
        assert ones[0].events[0].event_type == "OrderPlaced"
        assert [one.expected_version for one in ones] == list(range(len(ones)))
        for before, after in pairwise(ones):
            assert after.last_event_id == before.events[-1].event_id
            assert after.events[0].occurred_at > before.events[0].occurred_at
        correlations = {json.loads(one.events[0].metadata)["correlation_id"] for one in ones}
        assert len(correlations) == 1


def test_ids_are_unique_and_tell_the_time(commits: Sequence[Commit]) -> None:
    ids = [event.event_id for event in events(commits)]
    assert len(set(ids)) == len(ids)
    for event in events(commits):
        assert (event.event_id.version, event.event_id.variant) == (7, "specified in RFC 4122")
        assert event.event_id.int >> 80 == int(event.occurred_at.timestamp() * 1000)


def test_orders_interleave_and_the_last_ones_are_open(commits: Sequence[Commit]) -> None:
    types = Counter(event.event_type for event in events(commits))
    assert types["OrderPlaced"] == ORDERS
    finished = types["OrderShipped"] + types["OrderCancelled"]
    assert 0.9 * ORDERS < finished < ORDERS
    first = [number for number, commit in enumerate(commits) if commit.expected_version == 0]
    assert any(after > before + 1 for before, after in pairwise(first))


def test_the_shop_confirms_and_ships_when_it_is_open(commits: Sequence[Commit]) -> None:
    done = [event for event in events(commits) if event.event_type in {"OrderConfirmed", "OrderShipped"}]
    assert {event.occurred_at.weekday() for event in done} == set(range(6))
    assert {event.occurred_at.hour for event in done} == set(range(8, 18))


def test_customers_order_more_in_the_evening_and_more_and_more() -> None:
    times = placings(random.Random(1), 20_000, SINCE, UNTIL)
    hours = Counter(time.hour for time in times)
    assert hours[19] > 5 * hours[3]
    middle = SINCE + (UNTIL - SINCE) / 2
    assert sum(time > middle for time in times) > 1.2 * sum(time <= middle for time in times)
    assert len({time.date() for time in times}) >= 180


@pytest.mark.parametrize("period", [timedelta(minutes=5), timedelta(days=1)])
def test_a_short_period_is_kept_to(period: timedelta) -> None:
    times = placings(random.Random(1), 50, UNTIL - period, UNTIL)
    assert len(times) == 50
    assert times == sorted(times)
    assert UNTIL - period <= times[0] <= times[-1] <= UNTIL


def test_no_batch_holds_two_commits_of_a_stream_and_none_is_lost(commits: Sequence[Commit]) -> None:
    made = list(batches(commits, 40))
    assert [commit for batch in made for commit in batch] == commits
    assert max(len(batch) for batch in made) <= 40
    for batch in made:
        assert len({commit.stream for commit in batch}) == len(batch)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - what it takes
def test_work_is_done_at_work_and_never_before(at: datetime) -> None:
    done = at_work(at)
    assert at <= done < at + timedelta(days=2)
    assert 8 <= done.hour < 18
    assert done.weekday() != 6
    assert at_work(done) == done


def test_live_orders_come_at_the_rate_that_is_asked_for() -> None:
    times = list(islice(arrivals(random.Random(1), 5.0), 6000))
    assert times == sorted(times)
    assert 6000 / times[-1] == pytest.approx(5.0, rel=0.05)
    busy, quiet = (sum(start <= time % 60 < start + 30 for time in times) for start in (0, 30))
    assert busy > 1.5 * quiet
