"""What all metrics have in common."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Bounds of histograms' buckets."""


def create_registry() -> CollectorRegistry:
    """Make an app's registry, with what its process is known by."""
    disable_created_metrics()  # type: ignore[no-untyped-call] # it has no annotations
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


class Counts(Collector):
    """Counts that are kept as numbers anyway, by the value of a label, and read when they are asked for."""

    def __init__(self, name: str, told: str, label: str, reads: Mapping[str, Callable[[], int]]) -> None:
        self._name = name
        self._told = told
        self._label = label
        self._reads = reads

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Read them."""
        family = CounterMetricFamily(self._name, self._told, labels=[self._label])
        for value, read in self._reads.items():
            family.add_metric([value], read())
        return [family]


def gauge(registry: CollectorRegistry, name: str, told: str, read: Callable[[], float]) -> None:
    """Add a gauge that is read when it is asked for."""
    Gauge(name, told, registry=registry).set_function(read)
