"""`daicho status` can be read on any terminal."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from rich.console import Console

from daicho.status_command import status_table
from query_service.projection_statuses import PartitionStatus, ProjectionStatus, RebuildStatus

A, B = uuid4(), uuid4()


def status(name: str, holders: list[UUID | None], rebuild: RebuildStatus | None = None) -> ProjectionStatus:
    return ProjectionStatus(
        name=name, version=12, state="catching-up", position=12_345_678, head=12_400_000, lag_events=54_322,
        lag_seconds=1234.5, parked=1_234, can_undo=True, last_rebuild=None, rebuild=rebuild,
        partitions=[PartitionStatus(number=n, position=1, holder=one) for n, one in enumerate(holders)],
    )  # fmt: skip


def shown(width: int) -> str:
    rebuild = RebuildStatus(
        state="loading", started_at=datetime(2026, 3, 1, tzinfo=UTC), events_done=1_234_567, events_total=12_345_678,
        rate=23_456.0, eta_seconds=45.0, partitions=4, failure=None,
    )  # fmt: skip
    statuses = [status("order_summaries", [A]), status("order_details", [A, B, A, None], rebuild)]
    console = Console(width=width)
    with console.capture() as capture:
        console.print(status_table(statuses, listening=2, appending=1))
    return capture.get()


@pytest.mark.parametrize("width", [80, 200])
def test_nothing_is_cut(width: int) -> None:
    text = shown(width)
    assert "…" not in text
    for wanted in ("projection", "position", "12,345,678", "54,322", "1234.5", "1,234", "order_summaries v12"):
        assert wanted in text


def test_below_the_table_is_what_else_there_is_to_tell() -> None:
    loading = "rebuild loading 1,234,567/12,345,678 (23,456/s, 45 s left)"
    assert shown(200).splitlines()[-3:] == [
        "order_summaries: can be undone",
        f"order_details: 4 partitions (2 + 1 + 1 free) · {loading} · can be undone",
        "log at 12,400,000 · 1 command and 2 query services connected to it",
    ]
