"""What `make audit` makes of pip-audit's report."""

import json

from tests.support.audit import findings


def test_holes_are_told_and_what_could_not_be_looked_up() -> None:
    hole = {"id": "PYSEC-1", "fix_versions": ["2.0", "1.9"], "aliases": [], "description": ""}
    report = {
        "dependencies": [
            {"name": "one", "version": "1.0", "vulns": [hole, {**hole, "id": "PYSEC-2", "fix_versions": []}]},
            {"name": "two", "version": "3.1", "vulns": []},
        ]
    }
    told = ["one 1.0: PYSEC-1, mended in 2.0, 1.9", "one 1.0: PYSEC-2, mended in no version"]
    assert findings(json.dumps(report)) == (told, None)
    report["dependencies"].append({"name": "three", "skip_reason": "not found"})
    assert findings(json.dumps(report)) == (told, "1 of 3 packages, such as: not found")


def test_no_report_is_not_a_good_one() -> None:
    for text in ("", "x", "[]", "{}"):
        assert findings(text) == ([], "there is no report")
