"""Dashboard and alerts ask for what is served, and the dashboard's panels have their places."""

import itertools
import subprocess

import pytest

from tests.support.dashboards import ALERTS, DASHBOARD, PANELS, PROMETHEUS, Asked, family, of_alerts, of_dashboard
from tests.support.metrics import IS_INSTALLED, WHY_NOT
from tests.support.metrics_served import served

SERVED = served()

OF_PROMETHEUS = {"job", "instance"}


@pytest.mark.parametrize("asked", [*of_dashboard(), *of_alerts()], ids=lambda asked: asked.name)
def test_each_query_asks_for_metrics_and_labels_that_are_served(asked: Asked) -> None:
    metrics = list(asked.metrics())
    assert metrics
    for name, chosen in metrics:
        if name != "up":
            _, labels = SERVED[family(name, SERVED)]
            assert chosen <= labels | OF_PROMETHEUS


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    asked = {family(name, SERVED) for one in (*of_dashboard(), *of_alerts()) for name, _ in one.metrics()}
    left_out = {"daicho_projection_position", "process_start_time_seconds", "process_virtual_memory_bytes"}
    assert SERVED.keys() - asked == left_out


def test_no_two_panels_are_in_one_place() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in itertools.combinations(places, 2):
        is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert is_beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def test_every_panel_asks_the_chosen_data_source() -> None:
    for panel in PANELS:
        for one in (panel, *panel["targets"]):
            assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_each_alert_says_what_is_wrong_and_where_to_begin() -> None:
    for one in ALERTS:
        assert one["labels"]["severity"] in {"critical", "warning"}
        assert one["annotations"].keys() == {"summary", "description"}


@pytest.mark.skipif(not IS_INSTALLED, reason=WHY_NOT)
@pytest.mark.parametrize(
    "command", ["check config prometheus.yml", "check rules alerts.yml", "test rules alerts.test.yml"]
)
def test_prometheus_takes_them_and_each_alert_fires(command: str) -> None:
    done = subprocess.run(["promtool", *command.split()], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
