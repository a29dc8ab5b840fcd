"""The checkpoints of each generation of each projection, one for each partition. No function here commits: the caller owns the transaction."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    column,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from query_service.generations import Generation
from query_service.partitions import MOST, WHOLE, Partition
from query_service.projection import Projection
from query_service.set_based import text_of
from query_service.tables import CHANNEL, SCHEMA, checkpoints, leases
from query_service.together import BEFORE, Write, send
from shared.driver import as_sent, fetch_in
from shared.event_log.events import Position

State = Literal["requested", "loading", "loaded", "following", "kept"]

Held = Mapping[Partition, int]
"""The partitions that a replica has a lease on, each with the lease's fence."""


class Checkpoint(NamedTuple):
    """How far a partition of a generation of a projection has come, built by a version of the projection's code.

    `has_parked` tells whether events of it may be parked, as of the moment when the row was locked.
    """

    projection: str
    generation: Generation
    version: int
    position: Position
    has_parked: bool
    partition: Partition = WHOLE


async def register(connection: AsyncConnection, projections: Sequence[Projection]) -> None:
    """Give each new projection a checkpoint before the first event."""
    rows = [{"projection": p.name, "version": p.version, "position": 0} for p in projections]
    await connection.execute(insert(checkpoints).on_conflict_do_nothing(), rows)


async def lock(
    connection: AsyncConnection,
    projections: Sequence[Projection],
    state: State = "following",
    held: Held | None = None,
) -> list[Checkpoint]:
    """Give the checkpoints in a state, which nobody else can move until the transaction ends.

    Those of another version of the code are left alone. With `held`, also those of partitions whose lease is not held
    any more; of the others nobody can take the lease until then.
    """
    parameters = {
        "state": state,
        "names": [projection.name for projection in projections],
        "versions": [projection.version for projection in projections],
        **({} if held is None else _arrays(held)),
    }
    return list(map(checkpoint, await fetch_in(connection, *as_sent(_lock(is_leased=held is not None), parameters))))


async def lock_leases(connection: AsyncConnection, held: Held) -> set[Partition]:
    """Give the partitions whose lease is held still, which nobody else can take until the transaction ends."""
    return {
        Partition(*divmod(found[0], MOST))
        for found in await fetch_in(connection, *as_sent(_LEASES_HELD, _arrays(held)))
    }


async def move(connection: AsyncConnection, moved: Sequence[Checkpoint], position: Position, by: str) -> None:
    """Set the positions of these checkpoints, and tell the other replicas who did once this is committed."""
    keys = zip(*((one.projection, one.generation, one.partition.number) for one in moved), strict=True)
    await send(connection, Write(str(checkpoints), _move(), [position, *map(list, keys), by]))


async def find(connection: AsyncConnection, projection: Projection) -> list[Checkpoint]:
    """Give the checkpoints of a projection's generations."""
    query = select(*COLUMNS).where(checkpoints.c.projection == projection.name)
    return list(map(checkpoint, await connection.execute(query)))


def by_generation(found: Iterable[Checkpoint]) -> dict[tuple[str, Generation], list[Checkpoint]]:
    """Tell apart the generations that these are of, each with its partitions', in the order in which they were given."""
    generations: dict[tuple[str, Generation], list[Checkpoint]] = {}
    for one in found:
        generations.setdefault((one.projection, one.generation), []).append(one)
    return generations


_ROW = checkpoints.c
COLUMNS: Final = (
    _ROW.projection, _ROW.generation, _ROW.version, _ROW.position, _ROW.has_parked, _ROW.partitions, _ROW.partition,
)  # fmt: skip
"""What a `checkpoint` is made of."""


def checkpoint(row: Sequence[Any]) -> Checkpoint:
    """Build from a row of `COLUMNS`."""
    return Checkpoint._make((*row[:5], Partition(*row[5:7])))


@cache
def _lock(*, is_leased: bool) -> Select[Any]:
    names, versions = bindparam("names", type_=ARRAY(Text)), bindparam("versions", type_=ARRAY(Integer))
    known = select(func.unnest(names), func.unnest(versions))
    query = select(*COLUMNS).where(tuple_(_ROW.projection, _ROW.version).in_(known), _ROW.state == bindparam("state"))
    if is_leased:
        query = query.where(_number(checkpoints) == any_(func.array(_LEASES_HELD.scalar_subquery())))
    return query.order_by(_ROW.projection, _ROW.generation, _ROW.partition).with_for_update()


@cache
def _move() -> str:
    columns = (_ROW.projection, _ROW.generation, _ROW.partition)
    keys = select(*(func.unnest(bindparam(of.name, type_=ARRAY(of.type))) for of in columns))
    return text_of(
        update(checkpoints)
        .where(tuple_(*columns).in_(keys), BEFORE)
        .values(position=bindparam("reached", type_=BigInteger), updated_at=func.clock_timestamp())
        .returning(func.pg_notify(literal_column(f"'{CHANNEL}'"), bindparam("by", type_=Text))),
        SCHEMA,
    )


def _arrays(held: Held) -> dict[str, object]:
    return {
        "partitions": [partition.of for partition in held],
        "numbers": [partition.number for partition in held],
        "fences": list(held.values()),
    }


def _number(table: Table) -> ColumnElement[int]:
    """Make one number of a partition."""
    return table.c.partitions * MOST + table.c.partition


_HELD = (
    func.unnest(
        bindparam("partitions", type_=ARRAY(Integer)),
        bindparam("numbers", type_=ARRAY(Integer)),
        bindparam("fences", type_=ARRAY(BigInteger)),
    )
    .table_valued(column("partitions", Integer), column("partition", Integer), column("fence", BigInteger))
    .render_derived(name="held")
)
# A statement of its own to PostgreSQL, done before the first checkpoint is locked: leases come first, for everybody.
_LEASES_HELD = (
    select(_number(leases))
    .join(
        _HELD,
        tuple_(leases.c.partitions, leases.c.partition, leases.c.fence)
        == tuple_(_HELD.c.partitions, _HELD.c.partition, _HELD.c.fence),
    )
    .order_by(leases.c.partitions, leases.c.partition)
    .with_for_update(read=True, key_share=True, of=leases)
)
