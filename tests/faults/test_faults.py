"""I1–I9 hold whatever breaks. `--fault-seed` gives a run again, `--fault-seconds 3600` soaks."""

import pytest

from tests.faults.conftest import TABLE
from tests.faults.postgres_faults import POSTGRES_FAULTS
from tests.faults.report import figures, told
from tests.faults.run import Plan, run
from tests.faults.service_faults import SERVICE_FAULTS

pytestmark = pytest.mark.faults

LEAST = 100
"""Commands that must have been acknowledged, so that a run says something."""


async def test_invariants_hold_through_faults(request: pytest.FixtureRequest, seed: int) -> None:
    seconds: float = request.config.getoption("--fault-seconds")
    result = await run(Plan(seed, seconds))
    request.config.stash[TABLE][f"seed {seed}"] = figures(result)
    assert not result.violations, told(result)
    assert {fault.name for fault in result.history.faults} == {
        kind.name for kind in (*SERVICE_FAULTS, *POSTGRES_FAULTS)
    }
    assert sum(1 for command in result.history.commands if command.acknowledged) > LEAST
