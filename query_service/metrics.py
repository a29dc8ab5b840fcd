"""What Prometheus is told of the read side when it asks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from query_service.answer_cache import AnswerCache
from query_service.event_source import Hearing
from query_service.event_streams import EventStreams
from query_service.leases import Leases
from query_service.projected_position import ProjectedPosition
from query_service.projection_statuses import ProjectionStatus
from shared.metrics import Counts, gauge

_GAUGES: Mapping[str, tuple[str, Callable[[ProjectionStatus], float]]] = {
    "position": ("Position up to which the log is projected", lambda one: one.position),
    "lag_events": ("Events that are not projected yet", lambda one: one.lag_events),
    "lag_seconds": ("Age of the oldest event that is not projected yet", lambda one: one.lag_seconds),
    "parked": (
        "Events that wait, since they or one before them of the same aggregate could not be applied",
        lambda one: one.parked,
    ),
    "stalled": ("1 while it is behind and does not move, or cannot be projected", lambda one: one.state == "stalled"),
    "rebuilding": ("1 while it is being rebuilt", lambda one: one.rebuild is not None),
    "rebuild_events_done": (
        "Events that its rebuild has applied",
        lambda one: one.rebuild.events_done if one.rebuild else 0,
    ),
    "rebuild_events_expected": (
        "Events that its rebuild has to apply, about",
        lambda one: one.rebuild.events_total if one.rebuild else 0,
    ),
}


class ProjectionMetrics(Collector):
    """How far projections are, as of when `statuses` was set."""

    def __init__(self, statuses: Sequence[ProjectionStatus] = ()) -> None:
        self.statuses = statuses

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give what was found."""
        for name, (told, read) in _GAUGES.items():
            family = GaugeMetricFamily(f"daicho_projection_{name}", told, labels=["projection"])
            for status in self.statuses:
                family.add_metric([status.name], read(status))
            yield family
        yield self._partitions()
        if self.statuses:
            yield GaugeMetricFamily("daicho_log_position", "Position of the log's last event", self.statuses[0].head)

    def _partitions(self) -> GaugeMetricFamily:
        told = "Events of the whole log that a partition is behind"
        family = GaugeMetricFamily("daicho_partition_lag_events", told, labels=["projection", "partition"])
        for status in self.statuses:
            for one in status.partitions:
                family.add_metric([status.name, str(one.number)], status.head - one.position)
        return family


def tell_of_reads(
    registry: CollectorRegistry,
    cache: AnswerCache,
    projected: ProjectedPosition,
    streams: EventStreams,
    leases: Leases,
    listeners: Mapping[str, Hearing],
) -> ProjectionMetrics:
    """Tell of all that this process knows by itself; give what is to be told of the projections."""
    found = {"hit": lambda: cache.hits, "shared": lambda: cache.shared, "miss": lambda: cache.misses}
    registry.register(Counts("daicho_answer_cache_requests", "Reads of what may be kept in memory", "result", found))
    gauge(registry, "daicho_answer_cache_bytes", "Memory that answers take", lambda: cache.size)
    gauge(registry, "daicho_event_streams", "Clients of the event stream now", lambda: streams.tail.followers)
    gauge(registry, "daicho_reads_waiting", "Reads that wait for a position now", lambda: projected.waiting)
    gauge(registry, "daicho_leases", "Leases on partitions that this process holds", lambda: len(leases.held))
    told = "1 while notifications arrive; without them it polls"
    connected = Gauge("daicho_listener_connected", told, ["listener"], registry=registry)
    for name, listener in listeners.items():
        connected.labels(name).set_function(partial(getattr, listener, "listening"))
    projections = ProjectionMetrics()
    registry.register(projections)
    return projections


def render(statuses: Sequence[ProjectionStatus]) -> bytes:
    """Write how far projections are, and nothing else."""
    registry = CollectorRegistry()
    registry.register(ProjectionMetrics(statuses))
    return generate_latest(registry)
