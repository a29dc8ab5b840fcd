"""The suite catches what it is for: builds that are broken on purpose, each by the invariants that it breaks."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import pytest

from tests.faults.broken import positions_from_a_sequence, rows_that_are_altered
from tests.faults.cluster import Build
from tests.faults.conftest import MUTANTS
from tests.faults.fault import FaultKind
from tests.faults.postgres_faults import POSTGRES_FAULTS, backends_terminated
from tests.faults.run import Plan, run
from tests.faults.service_faults import SERVICE_FAULTS

pytestmark = pytest.mark.faults

SECONDS = 10.0
PATIENCE = 15.0
SEEDS = (1, 2, 3)
"""Others are tried until one catches the build: a fault must fall into a moment, and a busy machine has fewer of them."""


class Mutant(NamedTuple):
    """A broken build, the faults that reveal it, and the invariants by which it must be caught."""

    name: str
    build: Callable[[], Build]
    faults: Sequence[FaultKind]
    caught_by: frozenset[str]


def _faults(*names: str) -> Sequence[FaultKind]:
    return [kind for kind in (*SERVICE_FAULTS, *POSTGRES_FAULTS) if kind.name in names]


def _terminated(names: str) -> FaultKind:
    return FaultKind(f"terminate {names}", partial(backends_terminated, names=names))


BROKEN = "tests.faults.broken"
MUTANTS_THERE_ARE = (
    Mutant(
        "answers before it commits",
        lambda: Build(command=f"{BROKEN}:answers_before_commit"),
        [*_faults("kill -9 command service", "kill -9 PostgreSQL"), _terminated("daicho-append")],
        frozenset({"I1"}),
    ),
    Mutant(
        "moves the checkpoint in another transaction",
        lambda: Build(query=f"{BROKEN}:moves_checkpoints_by_themselves"),
        [_terminated("daicho-project")],
        frozenset({"I5"}),
    ),
    Mutant(
        "takes positions from a sequence, without the lock",
        lambda: Build(command=f"{BROKEN}:waits_for_no_turn", statements=positions_from_a_sequence()),
        _faults("delay packets"),
        frozenset({"I2", "I4"}),
    ),
    Mutant(
        "ignores idempotency keys",
        lambda: Build(command=f"{BROKEN}:ignores_idempotency_keys"),
        _faults("lose answers of appends"),
        frozenset({"I7"}),
    ),
    Mutant(
        "does not wait for the position wanted",
        lambda: Build(query=f"{BROKEN}:does_not_wait"),
        [_terminated("daicho-project")],
        frozenset({"I9"}),
    ),
    Mutant(
        "alters rows later",
        lambda: Build(statements=rows_that_are_altered()),
        _faults("delay packets"),
        frozenset({"I8"}),
    ),
)


@pytest.mark.parametrize("mutant", MUTANTS_THERE_ARE, ids=lambda mutant: mutant.name)
async def test_a_broken_build_is_caught(request: pytest.FixtureRequest, mutant: Mutant) -> None:
    found: Counter[str] = Counter()
    for seed in SEEDS:
        if not mutant.caught_by <= found.keys():
            result = await run(Plan(seed, SECONDS, mutant.build(), [mutant.faults], PATIENCE))
            found += Counter(violation.invariant for violation in result.violations)
    counts = ", ".join(f"{name} {count:,} times" for name, count in sorted(found.items()))
    request.config.stash[MUTANTS].append(f"{mutant.name}: {counts or 'not caught'}")
    assert mutant.caught_by <= found.keys()
