"""What a run found, as text: a table of all runs, and what happened around a violation."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

from tests.faults.checker import Violation
from tests.faults.history import Command, Outcome
from tests.faults.postgres_faults import POSTGRES_FAULTS
from tests.faults.run import Result
from tests.faults.service_faults import SERVICE_FAULTS

_SHOWN = 3
"""Violations of one invariant that are told of in full."""
_AROUND = 5.0
"""Seconds before and after."""


def figures(result: Result) -> Mapping[str, str]:
    """Give a column of the table."""
    faults = Counter(fault.name for fault in result.history.faults)
    outcomes = Counter(command.outcome for command in result.history.commands)
    kinds = (kind.name for kind in (*SERVICE_FAULTS, *POSTGRES_FAULTS))
    numbers = {
        **{name: faults[name] for name in kinds},
        "faults injected": faults.total(),
        "commands acknowledged": outcomes[Outcome.DONE],
        "commands refused": outcomes[Outcome.REFUSED],
        "outcome never known": outcomes[Outcome.UNKNOWN],
        "requests sent again": sum(len(command.tries) - 1 for command in result.history.commands),
        "reads answered": len(result.history.reads) + len(result.history.statistics),
        "events in the log": len(result.ending.rows),
    }
    return {
        **{name: f"{number:,}" for name, number in numbers.items()},
        "seconds until all was well": f"{result.recovery:.1f}",
        "violations": f"{len(result.violations):,}",
    }


def table(columns: Mapping[str, Mapping[str, str]]) -> str:
    """Lay columns out side by side, each under its heading."""
    names = list(next(iter(columns.values())))
    first = max(map(len, names))
    lines = [" " * first + "".join(f"  {heading:>12}" for heading in columns)]
    lines += [f"{name:{first}}" + "".join(f"  {column[name]:>12}" for column in columns.values()) for name in names]
    return "\n".join(lines)


def told(result: Result) -> str:
    """Tell of violations: which, by how many, the first of each with what happened around it; and the seed."""
    counts = Counter(violation.invariant for violation in result.violations)
    by_count = ", ".join(f"{count} of {name}" for name, count in sorted(counts.items()))
    parts = [f"seed {result.plan.seed}: {len(result.violations)} violations ({by_count})"]
    for name in sorted(counts):
        those = (violation for violation in result.violations if violation.invariant == name)
        parts += [_around(violation, result) for violation in islice(those, _SHOWN)]
    return "\n\n".join([*parts, result.outputs])


def _around(violation: Violation, result: Result) -> str:
    order, moment = violation.order_id, violation.at
    commands = [one for one in result.history.commands if order is not None and one.order_id == order]
    if moment is None and commands:
        moment = commands[-1].tries[-1].ended
    lines = [f"{violation.invariant}: {violation.what}", f"  order {order}, at {_seconds(moment)}"]
    lines += [line for command in commands for line in _command(command)]
    lines += [
        f"  log: {row.position} {row.event_type} version {row.version} of command {row.command}"
        for row in result.ending.rows
        if row.aggregate_id == order
    ]
    lines += [
        f"  fault: {_seconds(fault.started)}–{_seconds(fault.ended)} {fault.name} ({fault.what})"
        for fault in result.history.faults
        if moment is not None and fault.started - _AROUND <= moment <= fault.ended + _AROUND
    ]
    return "\n".join(lines)


def _command(command: Command) -> Sequence[str]:
    key = "with its key" if command.key else "without a key"
    match = f", If-Match {command.expected_version}" if command.expected_version is not None else ""
    return [
        f"  command: {command.id} {command.kind}, client {command.client}, {key}{match}",
        *(f"    {_seconds(one.started)}–{_seconds(one.ended)} {one.service}: {one.told}" for one in command.tries),
        *(f"    told: version {one.version} at {one.position}" for one in command.acknowledged),
    ]


def _seconds(moment: float | None) -> str:
    return "an unknown time" if moment is None else f"{moment:.3f} s"
