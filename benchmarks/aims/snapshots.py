"""Loading the state of a stream of 10,000 events, from its first event and from its snapshot."""

from time import perf_counter

from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks import servers
from benchmarks.context import Context
from benchmarks.results import Result, ratio, series
from command_service.postgres_snapshots import PostgresSnapshotStore
from command_service.postgres_store import PostgresEventStore
from command_service.repository import Known, Repository
from command_service.snapshot_taker import SnapshotTaker
from command_service.snapshots import Snapshot, StateSchema
from command_service.state_cache import StateCache
from shared.database import create_engine
from shared.event_log.events import StreamId, Version
from tests.support.tally import DECIDER, EVENTS, STATE, Tally, TallyEvent, a_tally, append_added

LENGTH = 10_000
TAIL = STATE.snapshot_every // 2
"""Events past the snapshot: half of the interval between two, which is the mean."""

ROUNDS = 15


async def measure(context: Context) -> list[Result]:
    """Measure both in turn, and see that the states are the same."""
    url = await servers.fresh_database(context.postgres, "snapshots")
    engine = create_engine(url, application_name="daicho-bench", pool_size=1)
    try:
        return [await _compare(engine)]
    finally:
        await engine.dispose()


async def _compare(engine: AsyncEngine) -> Result:
    log, snapshots, stream = PostgresEventStore(engine), PostgresSnapshotStore(engine), a_tally()
    await append_added(log, stream, LENGTH - TAIL)
    taken = (await _repository(engine, 1).load(stream)).state
    await snapshots.save([Snapshot(stream, Version(LENGTH - TAIL), STATE.encode(taken), 1)])
    await append_added(log, stream, TAIL, LENGTH - TAIL)
    without, with_it = _repository(engine, 2), _repository(engine, 1)
    pairs = []
    for _ in range(ROUNDS):
        (whole, slow), (quick, fast) = [await _timed(repository, stream) for repository in (without, with_it)]
        if (whole.state, whole.version) != (quick.state, quick.version) or whole.version != LENGTH:
            raise AssertionError("the states differ")
        pairs.append((slow, fast))
    whole_log, from_snapshot = [slow * 1e3 for slow, _ in pairs], [fast * 1e3 for _, fast in pairs]
    return Result(
        name="snapshots",
        title="Loading a long stream",
        settings=f"a stream of {LENGTH:,} events, its snapshot {TAIL} events before the end; both give the same state",
        series=(series("from its first event", "ms", whole_log), series("from its snapshot", "ms", from_snapshot)),
        ratios=(ratio("from its first event / from its snapshot", whole_log, from_snapshot),),
    )


def _repository(engine: AsyncEngine, state_schema_version: int) -> Repository[Tally, TallyEvent]:
    """Give a repository that remembers nothing; one of another state schema version has no snapshot to start from."""
    log, snapshots = PostgresEventStore(engine), PostgresSnapshotStore(engine)
    schema: StateSchema[Tally] = StateSchema(Tally, state_schema_version)
    return Repository(DECIDER, EVENTS, schema, log, snapshots, SnapshotTaker(snapshots), StateCache(0))


async def _timed(repository: Repository[Tally, TallyEvent], stream: StreamId) -> tuple[Known[Tally], float]:
    started = perf_counter()
    known = await repository.load(stream)
    return known, perf_counter() - started
