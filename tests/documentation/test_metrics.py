"""The metrics that are documented are those that are served, with their kinds and labels."""

from fastapi import FastAPI
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from command_service.app import create_app as create_command_app
from query_service.app import create_app as create_query_app
from query_service.projection_statuses import ProjectionStatus
from shared.event_log.events import StreamId
from shared.ids import new_id
from tests.support.apps import command_settings, query_settings
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
    rebuild=None,
    can_undo=False,
    last_rebuild=None,
)
NOWHERE = "postgresql://127.0.0.1:1/none"
"""Apps connect when they start, and these do not."""


def served(app: FastAPI) -> dict[str, tuple[str, set[str]]]:
    found = {}
    for family in text_string_to_metric_families(generate_latest(app.state.metrics).decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = (family.type, set(family.samples[0].labels) - {"le"})
    return found


def test_every_metric_is_documented_and_no_other() -> None:
    commands = create_command_app(command_settings(NOWHERE))
    commands.state.command_telemetry.answered("PlaceOrder", StreamId("order", new_id()), "done", 0.01)
    commands.state.command_telemetry.answered_lines({"done": 1}, 0.01)
    queries = create_query_app(query_settings(NOWHERE))
    queries.state.projection_metrics.statuses = [STATUS]
    documented = {
        name.strip("`"): (kind, {label.strip("` ") for label in labels.split(",") if label})
        for name, kind, labels, _ in rows(DOCS / "reference" / "metrics.md")
    }
    assert documented == served(commands) | served(queries)
