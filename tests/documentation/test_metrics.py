"""The metrics that are documented are those that are served, with their labels."""

from prometheus_client.parser import text_string_to_metric_families

from query_service.metrics import render
from query_service.projection_statuses import PartitionStatus, ProjectionStatus
from tests.support.pages import DOCS, rows

STATUS = ProjectionStatus(
    name="order_summaries",
    version=1,
    state="live",
    position=1,
    head=1,
    lag_events=0,
    lag_seconds=0.0,
    parked=0,
    partitions=[PartitionStatus(number=0, position=1, holder=None)],
    rebuild=None,
    can_undo=False,
    last_rebuild=None,
)


def test_every_metric_is_documented_and_no_other() -> None:
    families = text_string_to_metric_families(render([STATUS], 1).decode())
    served = {family.name: set(family.samples[0].labels) for family in families}
    documented = {
        name.strip("`"): {label.strip("` ") for label in labels.split(",") if label}
        for name, labels, _ in rows(DOCS / "reference" / "metrics.md")
    }
    assert documented == served
