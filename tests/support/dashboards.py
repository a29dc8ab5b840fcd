"""The queries of the dashboard and of the alerts that are committed."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from tests.support.pages import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD: Mapping[str, Any] = json.loads((ROOT / "deploy/grafana/dashboards/daicho.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ALERTS: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]

_METRIC = re.compile(r"\b((?:daicho|process)_\w+|up)\b(?:\{([^}]*)\})?")
_HISTOGRAM = re.compile(r"_(bucket|sum|count)$")


class Asked(NamedTuple):
    """A query, by the name of its panel or alert, and the labels that its answer must have."""

    name: str
    query: str
    labels: frozenset[str]

    def metrics(self) -> Iterator[tuple[str, set[str]]]:
        """Give each metric that it asks for, with the labels that it chooses by."""
        for name, chosen in _METRIC.findall(self.query):
            yield name, set(re.findall(r"(\w+)\s*[=!]~?", chosen))


def of_dashboard() -> list[Asked]:
    return [
        Asked(panel["title"], target["expr"], frozenset(re.findall(r"{{(\w+)}}", target["legendFormat"])))
        for panel in PANELS
        for target in panel["targets"]
    ]


def of_alerts() -> list[Asked]:
    told = [(one, " ".join(one["annotations"].values())) for one in ALERTS]
    return [Asked(one["alert"], one["expr"], frozenset(re.findall(r"\$labels\.(\w+)", text))) for one, text in told]


def family(metric: str, known: Mapping[str, Any]) -> str:
    """Give what a metric is part of: of a histogram, its buckets, sum and count are asked for."""
    return metric if metric in known else _HISTOGRAM.sub("", metric)
