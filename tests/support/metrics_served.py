"""The metrics that the services have, without a database."""

from fastapi import FastAPI
from prometheus_client import generate_latest

from command_service.app import create_app as create_command_app
from query_service.app import create_app as create_query_app
from query_service.projection_statuses import PartitionStatus, ProjectionStatus
from shared.event_log.events import StreamId
from shared.ids import new_id
from tests.support.apps import command_settings, query_settings
from tests.support.metrics import families

_NOWHERE = "postgresql://127.0.0.1:1/none"
"""Apps connect when they start, and these do not."""

_STATUS = ProjectionStatus(
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


def served() -> dict[str, tuple[str, set[str]]]:
    """Give the kind and the labels of each metric that one of them has, by its name."""
    commands = create_command_app(command_settings(_NOWHERE))
    commands.state.command_telemetry.answered("PlaceOrder", StreamId("order", new_id()), "done", 0.01)
    commands.state.command_telemetry.answered_lines({"done": 1}, 0.01)
    queries = create_query_app(query_settings(_NOWHERE))
    queries.state.projection_metrics.statuses = [_STATUS]
    return _families(commands) | _families(queries)


def _families(app: FastAPI) -> dict[str, tuple[str, set[str]]]:
    return families(generate_latest(app.state.metrics).decode())
