"""Options, time limits and the closing table of the fault suite."""

import random
from collections.abc import Mapping

import pytest

FIXED_SEED = 1
RANDOM_RUNS = 3
OVERHEAD = 240
"""Seconds that a run may take beside its load."""

TABLE = pytest.StashKey[dict[str, Mapping[str, str]]]()
MUTANTS = pytest.StashKey[list[str]]()
FAILOVERS = pytest.StashKey[list[str]]()
JETSTREAM = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE] = {}
    config.stash[MUTANTS] = []
    config.stash[FAILOVERS] = []
    config.stash[JETSTREAM] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run with the seed that is asked for, else with a fixed one and some at random; those are chosen later."""
    if "chosen_seed" in metafunc.fixturenames:
        given: int | None = metafunc.config.getoption("--fault-seed")
        seeds = [FIXED_SEED, *[None] * RANDOM_RUNS] if given is None else [given]
        names = [f"seed-{seed}" if seed is not None else f"random-{number}" for number, seed in enumerate(seeds)]
        metafunc.parametrize("chosen_seed", seeds, ids=names)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seconds: float = config.getoption("--fault-seconds")
    for item in items:
        if item.get_closest_marker("faults"):
            item.add_marker(pytest.mark.timeout(seconds + OVERHEAD))


@pytest.fixture
def seed(chosen_seed: int | None) -> int:
    return random.SystemRandom().randrange(1_000_000) if chosen_seed is None else chosen_seed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    from tests.faults.report import table  # noqa: PLC0415 - of no use to a run of other tests

    if columns := config.stash[TABLE]:
        terminalreporter.section("faults")
        terminalreporter.write_line(table(columns))
    for title, key in (("failover", FAILOVERS), ("JetStream", JETSTREAM), ("broken builds", MUTANTS)):
        lines = config.stash[key]
        if lines:
            terminalreporter.section(title)
            for line in lines:
                terminalreporter.write_line(line)
