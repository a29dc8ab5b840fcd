"""With and without snapshots and cache, over restarts and several processes, every command ends the same."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from command_service.command_handler import CommandHandler
from command_service.event_store import Commit, EventStore, Outcome
from command_service.memory_store import InMemoryEventStore, InMemorySnapshotStore
from command_service.postgres_snapshots import PostgresSnapshotStore
from command_service.postgres_store import PostgresEventStore
from command_service.repository import Repository
from command_service.snapshot_taker import SnapshotTaker
from command_service.snapshots import Snapshot, SnapshotStore, StateSchema
from command_service.state_cache import ENTRY_BYTES, StateCache
from shared.errors import DaichoError
from shared.event_log.events import StreamId
from tests.support.databases import connected
from tests.support.events import WHEN
from tests.support.tally import DECIDER, EVENTS, Add, Take, Tally, TallyCommand, TallyEvent, a_tally
from tests.unit.handlers import a_context

PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Handle:
    """Give a command about one of two tallies to one of two processes."""

    process: int
    stream: int
    command: TallyCommand


@dataclass(frozen=True, slots=True)
class Save:
    """A process saves the snapshots that wait."""

    process: int


@dataclass(frozen=True, slots=True)
class Restart:
    """A process starts anew, at a release with another state schema version."""

    process: int
    state_schema_version: int


Step = Handle | Save | Restart

processes = st.integers(0, PROCESSES - 1)
commands = st.one_of(st.builds(Add, st.integers(1, 3), st.integers(1, 2)), st.builds(Take, st.integers(1, 4)))
handle = st.builds(Handle, processes, st.integers(0, 1), commands)
steps = st.lists(
    st.one_of(
        handle,
        handle,
        handle,
        st.builds(Save, processes),
        st.builds(Restart, processes, st.integers(1, 2)),
    ),
    min_size=20,
    max_size=60,
)
cache_sizes = st.sampled_from([1_000_000, ENTRY_BYTES + 40, 0])


class HeldTaker(SnapshotTaker):
    """Keeps snapshots until it is told to save them."""

    def __init__(self, store: SnapshotStore) -> None:
        super().__init__(store)
        self.store = store
        self.held: list[Snapshot] = []

    def take(self, snapshot: Snapshot) -> None:
        self.held.append(snapshot)

    async def save(self) -> None:
        for snapshot in self.held:
            await self.store.save([snapshot])
        self.held.clear()


@dataclass(slots=True)
class Process:
    """One command service, without HTTP."""

    log: EventStore
    snapshots: SnapshotStore
    every: int
    cache_bytes: int
    state_schema_version: int = 1
    taker: HeldTaker = field(init=False)
    handler: CommandHandler[TallyCommand, Tally, TallyEvent] = field(init=False)

    def __post_init__(self) -> None:
        schema: StateSchema[Tally] = StateSchema(Tally, self.state_schema_version, self.every)
        self.taker = HeldTaker(self.snapshots)
        repository: Repository[Tally, TallyEvent] = Repository(
            DECIDER, EVENTS, schema, self.log, self.snapshots, self.taker, StateCache(self.cache_bytes)
        )
        self.handler = CommandHandler(DECIDER, repository, self.log, self._append, lambda: WHEN)

    async def _append(self, commit: Commit, _: float | None) -> Outcome:
        return (await self.log.append([commit]))[0]


async def results(
    log: EventStore, snapshots: SnapshotStore, steps: Sequence[Step], every: int, cache_bytes: int
) -> list[object]:
    """Take the steps; give what each command came to."""
    running = [Process(log, snapshots, every, cache_bytes) for _ in range(PROCESSES)]
    streams = [a_tally() for _ in range(2)]
    found: list[object] = []
    for step in steps:
        match step:
            case Handle(number, stream, command):
                found.append(await _result(running[number], streams[stream], command))
            case Save(number):
                await running[number].taker.save()
            case Restart(number, version):
                running[number] = Process(log, snapshots, every, cache_bytes, version)
    return found


async def _result(process: Process, stream: StreamId, command: TallyCommand) -> object:
    try:
        handled = await process.handler.handle(stream, command, a_context())
    except DaichoError as error:
        return type(error).__name__
    return handled.state, handled.version


def expected(steps: Sequence[Step]) -> list[object]:
    """Say the same with plain sums."""
    totals, versions, lasts = [0, 0], [0, 0], ["", ""]
    found: list[object] = []
    for step in steps:
        if not isinstance(step, Handle):
            continue
        number, command = step.stream, step.command
        if isinstance(command, Take) and command.amount > totals[number]:
            found.append("TooFew")
            continue
        if isinstance(command, Take):
            totals[number] -= command.amount
            versions[number] += 1
        else:
            lasts[number] = f"{totals[number]}+{command.times - 1}"
            totals[number] += command.amount * command.times
            versions[number] += command.times
        found.append((Tally(totals[number], lasts[number]), versions[number]))
    return found


@settings(deadline=None, max_examples=300)
@given(steps, st.integers(1, 7), cache_sizes)
def test_in_memory(steps: list[Step], every: int, cache_bytes: int) -> None:
    log = InMemoryEventStore(lambda: WHEN)
    found = asyncio.run(results(log, InMemorySnapshotStore(log), steps, every, cache_bytes))
    assert found == expected(steps)


def test_in_postgresql(database: str) -> None:
    with asyncio.Runner() as runner:
        context = connected(database)
        engine = runner.run(context.__aenter__())
        try:

            @settings(deadline=None, max_examples=40)
            @given(steps, st.integers(1, 7), cache_sizes)
            def holds(steps: list[Step], every: int, cache_bytes: int) -> None:
                log, snapshots = PostgresEventStore(engine), PostgresSnapshotStore(engine)
                assert runner.run(results(log, snapshots, steps, every, cache_bytes)) == expected(steps)

            holds()
        finally:
            runner.run(context.__aexit__(None, None, None))
