"""Holds what clients were told against the log and the read models as they are in the end, invariant by invariant.

A pure function. What is expected is written down here once more, in plain Python: it shares no code with the product.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from tests.faults.history import Acknowledged, Command, Ending, History, LogRow, Outcome
from tests.support.replay import replay

EVENT_TYPES = {"place": "OrderPlaced", "confirm": "OrderConfirmed", "ship": "OrderShipped", "cancel": "OrderCancelled"}
STATUS_AFTER = {
    "OrderPlaced": "pending",
    "OrderConfirmed": "confirmed",
    "OrderShipped": "shipped",
    "OrderCancelled": "cancelled",
}
ALLOWED_FROM: Mapping[str, frozenset[str | None]] = {
    "OrderPlaced": frozenset({None}),
    "OrderConfirmed": frozenset({"pending"}),
    "OrderShipped": frozenset({"confirmed"}),
    "OrderCancelled": frozenset({"pending", "confirmed"}),
}


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, and where to look: an order, a moment of the run."""

    invariant: str
    what: str
    order_id: UUID | None = None
    at: float | None = None


Found = Iterator[Violation]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Log:
    """The log's rows, by whatever they are looked up."""

    rows: Sequence[LogRow]

    @cached_property
    def by_position(self) -> Mapping[int, LogRow]:
        return {row.position: row for row in self.rows}

    @cached_property
    def by_command(self) -> Mapping[str, Sequence[LogRow]]:
        found: dict[str, list[LogRow]] = defaultdict(list)
        for row in self.rows:
            found[row.command].append(row)
        return found

    @cached_property
    def streams(self) -> Mapping[UUID, Sequence[LogRow]]:
        found: dict[UUID, list[LogRow]] = defaultdict(list)
        for row in self.rows:
            found[row.aggregate_id].append(row)
        return found

    @cached_property
    def placed_at(self) -> Sequence[int]:
        """The positions at which orders were placed."""
        return [row.position for row in self.rows if row.event_type == "OrderPlaced"]

    def of_command(self, command: Command) -> Sequence[LogRow]:
        return self.by_command.get(command.id, ())

    def until(self, order_id: UUID, position: int) -> int:
        """Give the version of an order at a position."""
        return sum(row.position <= position for row in self.streams.get(order_id, ()))


def check(history: History, ending: Ending) -> list[Violation]:
    """Give what does not hold; nothing, if all is well."""
    log = Log(ending.rows)
    return [violation for rule in RULES for violation in rule(history, ending, log)]


def acknowledged_is_in_the_log(history: History, _: Ending, log: Log) -> Found:
    """I1: once, at the position and version that the client was told, with what it had asked for."""
    for command in history.commands:
        for told in command.acknowledged:
            row, at = log.by_position.get(told.position), command.tries[-1].ended
            if row is None or row.command != command.id:
                yield Violation("I1", f"{command.id} was acknowledged at {told.position}, not there", told.order_id, at)
            elif difference := _difference(command, told, row):
                yield Violation("I1", f"{command.id} at {told.position}: {difference}", told.order_id, at)
        if command.key is None and len(rows := log.of_command(command)) > 1:
            yield Violation("I1", f"{command.id} is in the log {len(rows)} times", rows[0].aggregate_id)


def _difference(command: Command, told: Acknowledged, row: LogRow) -> str | None:
    expected = (told.order_id, told.version, EVENT_TYPES[command.kind], STATUS_AFTER[row.event_type])
    found = (row.aggregate_id, row.version, row.event_type, told.status)
    if found != expected:
        return f"the log has {found}, told was {expected}"
    asked = {name: value for name, value in command.body.items() if name != "order_id"}
    if altered := [name for name, value in asked.items() if row.event_data.get(name) != value]:
        return f"the log has another {', '.join(altered)} than was asked for"
    return None


def positions_are_gapless(history: History, ending: Ending, _: Log) -> Found:
    """I2: 1, 2, 3 …, in the order of commits: whoever began after another's answer comes behind it."""
    for expected, row in enumerate(ending.rows, 1):
        if row.position != expected:
            yield Violation("I2", f"position {row.position} is where {expected} was due", row.aggregate_id)
            break
    last_seen = max(history.sampled, default=0)
    for row in ending.rows:
        if row.position <= last_seen and row.position not in history.sampled:
            what = f"position {row.position} became visible after a later one"
            yield Violation("I2", what, row.aggregate_id, _when(history, row))
    yield from _overtaken(history)


def _overtaken(history: History) -> Found:
    """Walk through beginnings and ends in time: each beginning knows the highest position acknowledged before it."""
    moments: list[tuple[float, int, Command]] = []
    for command in history.commands:
        if command.acknowledged:
            done = next(one for one in command.tries if one.outcome == Outcome.DONE)
            moments += [(command.tries[0].started, 1, command), (done.ended, 0, command)]
    highest = 0
    for at, is_beginning, command in sorted(moments, key=lambda moment: moment[:2]):
        told = command.acknowledged[0]
        if is_beginning and told.position < highest:
            what = f"{command.id} began after {highest} was acknowledged, and is at {told.position}"
            yield Violation("I2", what, told.order_id, at)
        highest = highest if is_beginning else max(highest, told.position)


def versions_are_gapless(_: History, __: Ending, log: Log) -> Found:
    """I3: 1, 2, 3 … in each stream, in the order of positions."""
    for order_id, rows in log.streams.items():
        versions = [row.version for row in sorted(rows, key=lambda row: row.position)]
        if versions != list(range(1, len(rows) + 1)):
            yield Violation("I3", f"an order's versions are {versions}", order_id)


def followers_saw_every_event_once(history: History, ending: Ending, log: Log) -> Found:
    """I4: in order, and to the end."""
    expected = [(row.position, row.event_id) for row in ending.rows]
    for name, seen in history.followed.items():
        if seen == expected:
            continue
        both = zip(seen, expected, strict=False)
        number = next((n for n, (one, other) in enumerate(both) if one != other), min(len(seen), len(expected)))
        due = str(expected[number][0]) if number < len(expected) else "nothing"
        got = str(seen[number][0]) if number < len(seen) else "nothing"
        row = log.by_position.get(expected[number][0]) if number < len(expected) else None
        at = _when(history, row) if row else None
        yield Violation("I4", f"{name} got position {got} where {due} was due", row.aggregate_id if row else None, at)


def read_models_equal_a_replay(history: History, ending: Ending, log: Log) -> Found:
    """I5: in the end, and whenever statistics were asked for."""
    sound = not [*positions_are_gapless(history, ending, log), *versions_are_gapless(history, ending, log)]
    for name, expected in replay(ending.rows).items() if sound else ():
        found = ending.read_models[name]
        for row in _in_one_alone(found, expected):
            yield Violation("I5", f"{name} differs from a replay in {dict(row)}", row.get("order_id"))
    for read in history.statistics:
        placed = bisect_right(log.placed_at, read.position)
        if sound and read.total_count != placed:
            what = f"{read.service} counted {read.total_count} orders at {read.position}, where {placed} were placed"
            yield Violation("I5", what, at=read.at)


def _in_one_alone(some: Sequence[Row], others: Sequence[Row]) -> Sequence[Row]:
    if list(some) == list(others):
        return ()
    one, other = ({_name(row): row for row in rows} for rows in (some, others))
    return [
        row for these, those in ((one, other), (other, one)) for name, row in these.items() if those.get(name) != row
    ] or some[-1:]


def _name(row: Row) -> tuple[str, ...]:
    return tuple(str(value) for value in list(row.values())[:2])


def refused_changed_nothing(history: History, ending: Ending, log: Log) -> Found:
    """I6: nothing of what was refused is in the log, nothing that should have been, and nothing that nobody asked for."""
    for command in history.commands:
        rows = log.of_command(command)
        if rows and command.outcome == Outcome.REFUSED:
            what = f"{command.id} was refused ({command.tries[-1].told}) and is at {rows[0].position}"
            yield Violation("I6", what, rows[0].aggregate_id, command.tries[-1].ended)
        if rows and command.expected_version not in {None, rows[0].version - 1}:
            what = f"{command.id} was for version {command.expected_version} and made {rows[0].version}"
            yield Violation("I6", what, rows[0].aggregate_id, command.tries[0].started)
    asked = {command.id for command in history.commands}
    for row in ending.rows:
        if row.position > ending.baseline and row.command not in asked:
            yield Violation("I6", f"position {row.position} was asked for by nobody", row.aggregate_id)
    for order_id, rows in log.streams.items():
        before = [None, *(STATUS_AFTER[row.event_type] for row in rows)]
        for status, row in zip(before, rows, strict=False):
            if status not in ALLOWED_FROM[row.event_type]:
                yield Violation("I6", f"{row.event_type} at {row.position}, though it was {status}", order_id)


def keys_take_effect_once(history: History, _: Ending, log: Log) -> Found:
    """I7: however often a request is sent; and every answer to it is the same."""
    for command in history.commands:
        rows = log.of_command(command)
        if command.key is not None and len(rows) > 1:
            what = f"{command.id} took effect at {', '.join(str(row.position) for row in rows)}"
            yield Violation("I7", what, rows[0].aggregate_id, command.tries[0].started)
        if len(set(command.acknowledged)) > 1:
            what = f"{command.id} was answered with {command.acknowledged}"
            yield Violation("I7", what, command.acknowledged[0].order_id, command.tries[0].started)


def rows_never_change(history: History, ending: Ending, log: Log) -> Found:
    """I8: what was once seen is there, as it was; and the seals say so of all."""
    for position, digest in history.sampled.items():
        row = log.by_position.get(position)
        if row is None or row.digest != digest:
            what = "is gone" if row is None else "was altered"
            yield Violation("I8", f"position {position} {what} since it was seen", row.aggregate_id if row else None)
    if ending.verified is not None:
        yield Violation("I8", f"daicho verify: {ending.verified}")


def reads_are_not_older_than_wanted(history: History, _: Ending, log: Log) -> Found:
    """I9: nor than what the reader knew; and an order looks as its version says."""
    for read in history.reads:
        least = max(read.known_version, log.until(read.order_id, max(read.wanted, read.position)))
        row = next((row for row in log.streams.get(read.order_id, ()) if row.version == read.version), None)
        what = None
        if read.code == 200 and read.position < read.wanted:
            what = f"wanted {read.wanted}, the answer is of {read.position}"
        elif read.version < least:
            what = f"wanted {read.wanted}, of {read.position}: version {read.version}, it was at {least}"
        elif read.version and (row is None or STATUS_AFTER[row.event_type] != read.status):
            what = f"version {read.version} was said to be {read.status}"
        if what:
            yield Violation("I9", f"client {read.client} at {read.service}: {what}", read.order_id, read.at)
    for count in history.statistics:
        if count.position < count.wanted:
            what = f"client {count.client} at {count.service}: wanted {count.wanted}, the answer is of {count.position}"
            yield Violation("I9", what, at=count.at)


def nothing_goes_wrong_inside(history: History, _: Ending, __: Log) -> Found:
    """The contract's errors: whatever happens, no request gets a 500."""
    for command in history.commands:
        for one in command.tries:
            if one.told.startswith("500"):
                yield Violation("errors", f"{command.id} at {one.service}: {one.told}", command.order_id, one.started)
    for at, read in history.broken_reads:
        yield Violation("errors", f"{read}: 500", at=at)


def _when(history: History, row: LogRow) -> float | None:
    """Give the moment of the run at which a row's command was sent."""
    return next((one.tries[0].started for one in history.commands if one.id == row.command), None)


RULES: Sequence[Callable[[History, Ending, Log], Found]] = (
    acknowledged_is_in_the_log,
    positions_are_gapless,
    versions_are_gapless,
    followers_saw_every_event_once,
    read_models_equal_a_replay,
    refused_changed_nothing,
    keys_take_effect_once,
    rows_never_change,
    reads_are_not_older_than_wanted,
    nothing_goes_wrong_inside,
)
