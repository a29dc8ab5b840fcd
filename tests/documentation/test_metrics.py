"""The metrics that are documented are those that are served, with their kinds and labels."""

from tests.support.metrics_served import served
from tests.support.pages import DOCS, rows


def test_every_metric_is_documented_and_no_other() -> None:
    documented = {
        name.strip("`"): (kind, {label.strip("` ") for label in labels.split(",") if label})
        for name, kind, labels, _ in rows(DOCS / "reference" / "metrics.md")
    }
    assert documented == served()
