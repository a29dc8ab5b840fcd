"""Which leases a replica keeps, gives up and takes, so that all end up spread evenly, by the fewest moves."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from query_service.partitions import Partition


class Lease(NamedTuple):
    """A partition's lease; `holder` is None if anybody may take it."""

    partition: Partition
    holder: UUID | None
    fence: int


class Plan(NamedTuple):
    """What a replica does about its leases."""

    keep: Sequence[Lease]
    give_up: Sequence[Lease]
    take: Sequence[Lease]


def plan(leases: Collection[Lease], replicas: Collection[UUID], me: UUID) -> Plan:
    """Decide for one of these replicas; of leases, those whose holder is none of them are free."""
    result = Plan([], [], [])
    for of in sorted({lease.partition.of for lease in leases}):
        those = sorted(lease for lease in leases if lease.partition.of == of)
        mine = [lease for lease in those if lease.holder == me]
        free = [lease for lease in those if lease.holder not in replicas]
        share = _share(of, Counter(lease.holder for lease in those), replicas, me)
        result = Plan(
            [*result.keep, *mine[:share]],
            [*result.give_up, *mine[share:]],
            [*result.take, *free[: max(share - len(mine), 0)]],
        )
    return result


def _share(of: int, held: Counter[UUID | None], replicas: Collection[UUID], me: UUID) -> int:
    """Give how many of the partitions are a replica's; of what is left over, those have one more who have most already."""
    if me not in replicas:
        return 0
    ranked = sorted(replicas, key=lambda replica: (-held[replica], replica))
    each, left_over = divmod(of, len(replicas))
    return each + (ranked.index(me) < left_over)
