"""Partitions: a projection may be divided, by a hash of its aggregates' ids, into parts that move by themselves."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from shared.event_log.events import RecordedEvent

MOST = 64
"""Partitions of a projection, at most; `read_model.checkpoints` holds it too."""


class Partition(NamedTuple):
    """Part `number`, from 0, of `of`: of whichever projections are divided into so many."""

    of: int
    number: int


WHOLE = Partition(1, 0)


def hash_of(aggregate_id: UUID) -> int:
    """Give an id's hash; its remainder by how many partitions there are is its partition's number.

    In PostgreSQL, the first four bytes of `sha256(uuid_send(aggregate_id))`.
    """
    return int.from_bytes(sha256(aggregate_id.bytes).digest()[:4])


def of_partitions(records: Sequence[RecordedEvent], partitions: Iterable[Partition]) -> Sequence[RecordedEvent]:
    """Give the events of aggregates in any of these partitions."""
    numbers: dict[int, set[int]] = defaultdict(set)
    for partition in partitions:
        numbers[partition.of].add(partition.number)
    if any(len(some) == of for of, some in numbers.items()):
        return records
    found = []
    for record in records:
        hashed = hash_of(record.stream.aggregate_id)
        if any(hashed % of in some for of, some in numbers.items()):
            found.append(record)
    return found
