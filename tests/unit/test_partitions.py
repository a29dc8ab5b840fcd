"""Partitions, and how replicas share the leases on them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from query_service.lease_plan import Lease, plan
from query_service.partitions import MOST, WHOLE, Partition, hash_of, of_partitions
from shared.event_log.events import EventId, Position, RecordedEvent, StreamId, Version

AT = datetime(2026, 3, 1, tzinfo=UTC)

sizes = st.sets(st.integers(1, 9), min_size=1, max_size=3)
replicas = st.sets(st.uuids(), min_size=1, max_size=5)


def record(aggregate_id: UUID) -> RecordedEvent:
    event_id = EventId(aggregate_id)
    return RecordedEvent(
        Position(1), StreamId("order", aggregate_id), Version(1), "OrderPlaced", 1, event_id, "{}", "{}", AT, AT
    )


def test_the_hash_is_for_ever() -> None:
    """Checkpoints depend on it: an order that moved to another partition would miss events, or get them twice."""
    assert hash_of(UUID("0199b7a4-7c00-7000-8000-000000000001")) == 530_624_221
    assert hash_of(UUID(int=0)) == 927_402_239


@given(st.lists(st.uuids(), max_size=20), st.integers(1, MOST))
def test_each_aggregate_is_in_one_partition(ids: list[UUID], of: int) -> None:
    records = [record(one) for one in ids]
    found = [one for number in range(of) for one in of_partitions(records, [Partition(of, number)])]
    assert sorted(one.stream.aggregate_id for one in found) == sorted(ids)


@given(st.lists(st.uuids(), max_size=20))
def test_all_partitions_together_are_the_whole(ids: list[UUID]) -> None:
    records = [record(one) for one in ids]
    assert of_partitions(records, [WHOLE]) == records
    assert of_partitions(records, [Partition(3, number) for number in range(3)]) == records
    assert of_partitions(records, [Partition(3, 0), WHOLE]) == records


def free(sizes: set[int]) -> list[Lease]:
    return [Lease(Partition(of, number), None, 0) for of in sizes for number in range(of)]


def look(leases: Sequence[Lease], living: set[UUID], me: UUID) -> list[Lease]:
    """Give the leases after one replica has looked at them."""
    decided = plan(leases, living, me)
    taken, given_up = ({lease.partition for lease in some} for some in (decided.take, decided.give_up))
    assert {lease.holder for lease in (*decided.keep, *decided.give_up)} <= {me}, "only one's own is kept or given up"
    return [
        lease._replace(holder=me) if lease.partition in taken
        else lease._replace(holder=None) if lease.partition in given_up
        else lease
        for lease in leases
    ]  # fmt: skip


def settled(leases: list[Lease], living: set[UUID], order: list[UUID]) -> list[Lease]:
    """Give the leases after each has looked twice: once to give up, once to take."""
    for me in [*order, *order]:
        leases = look(leases, living, me)
    return leases


def is_even(leases: Sequence[Lease], living: set[UUID]) -> bool:
    for of in {lease.partition.of for lease in leases}:
        held = [sum(one.holder == me for one in leases if one.partition.of == of) for me in living]
        if sum(held) != of or max(held) - min(held) > 1:
            return False
    return True


@given(sizes, replicas, st.data())
def test_leases_are_spread_evenly_whoever_looks_first(sizes: set[int], living: set[UUID], data: st.DataObject) -> None:
    order = data.draw(st.permutations(sorted(living)))
    leases = settled(free(sizes), living, order)
    assert is_even(leases, living)
    assert settled(leases, living, order) == leases, "then nothing moves any more"


@given(sizes, replicas, st.uuids(), st.data())
def test_who_comes_or_goes_moves_no_lease_but_those_it_gets_or_had(
    sizes: set[int], living: set[UUID], other: UUID, data: st.DataObject
) -> None:
    living = living - {other} or {UUID(int=1)}
    before = settled(free(sizes), living, sorted(living))
    more = living | {other}
    joined = settled(before, more, data.draw(st.permutations(sorted(more))))
    assert is_even(joined, more)
    assert all(new.holder in {old.holder, other} for old, new in zip(before, joined, strict=True))
    left = settled(joined, living, data.draw(st.permutations(sorted(living))))
    assert is_even(left, living)
    assert all(new.holder == old.holder for old, new in zip(joined, left, strict=True) if old.holder != other)


def test_who_takes_no_part_gives_up_what_it_has() -> None:
    me, other = UUID(int=1), UUID(int=2)
    leases = [Lease(Partition(2, 0), me, 4), Lease(Partition(2, 1), other, 7)]
    decided = plan(leases, {other}, me)
    assert (decided.keep, decided.give_up, decided.take) == ([], [leases[0]], [])
