"""What Prometheus is told of the read side."""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from query_service.projection_statuses import ProjectionStatus

_GAUGES = {
    "position": "Position up to which the log is projected",
    "lag_events": "Events that are not projected yet",
    "lag_seconds": "Age of the oldest event that is not projected yet",
    "parked": "Events that wait, since they or one before them of the same aggregate could not be applied",
}


class _Projections(Collector):
    def __init__(self, statuses: Sequence[ProjectionStatus], leases: int) -> None:
        self._statuses = statuses
        self._leases = leases

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, told in _GAUGES.items():
            family = GaugeMetricFamily(f"daicho_projection_{name}", told, labels=["projection"])
            for status in self._statuses:
                family.add_metric([status.name], getattr(status, name))
            yield family
        yield self._partitions()
        yield GaugeMetricFamily("daicho_leases", "Leases on partitions that this replica holds", self._leases)
        if self._statuses:
            yield GaugeMetricFamily("daicho_log_position", "Position of the log's last event", self._statuses[0].head)

    def _partitions(self) -> GaugeMetricFamily:
        told = "Events of the whole log that a partition is behind"
        family = GaugeMetricFamily("daicho_partition_lag_events", told, labels=["projection", "partition"])
        for status in self._statuses:
            for one in status.partitions:
                family.add_metric([status.name, str(one.number)], status.head - one.position)
        return family


def render(statuses: Sequence[ProjectionStatus], leases: int) -> bytes:
    """Write how far projections are, and how many leases this replica holds, in Prometheus's text format 0.0.4."""
    registry = CollectorRegistry()
    registry.register(_Projections(statuses, leases))
    return generate_latest(registry)
