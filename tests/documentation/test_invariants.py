"""Each invariant is held by the tests that the page names, which name it in turn."""

import re

from tests.support.pages import DOCS, ROOT, rows

HELD_BY = {name: re.findall(r"`([^`]+)`", tests) for name, _, tests in rows(DOCS / "explanation" / "invariants.md")}


def test_each_invariant_has_tests() -> None:
    assert list(HELD_BY) == [f"I{number}" for number in range(1, 11)]
    assert all(HELD_BY.values())


def test_each_test_names_the_invariant_that_it_holds() -> None:
    for name, tests in HELD_BY.items():
        for test in tests:
            assert name in invariants((ROOT / test).read_text(encoding="utf-8")), f"{test} does not name {name}"


def invariants(text: str) -> set[str]:
    """Give the invariants that a test names, one by one or as I1–I8."""
    spans = re.findall(r"\bI(\d+)(?:–I(\d+))?\b", text)
    return {f"I{number}" for first, last in spans for number in range(int(first), int(last or first) + 1)}
