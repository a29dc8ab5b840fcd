"""The advisory locks of one database are told apart by their numbers."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = re.compile(r"^(\w*LOCK) = (\d+)$", re.MULTILINE)


def test_no_two_locks_have_one_number() -> None:
    packages = ("command_service", "query_service", "shared", "daicho")
    found = [
        one
        for name in packages
        for path in (ROOT / name).rglob("*.py")
        for one in LOCK.findall(path.read_text("utf-8"))
    ]
    assert len(found) > 5
    assert [number for number, count in Counter(number for _, number in found).items() if count > 1] == []
