"""What Prometheus, the log and traces are told of the read side."""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from time import time_ns
from typing import Final

from prometheus_client import CollectorRegistry, Histogram

from shared.event_log.events import RecordedEvent
from shared.metrics import SECONDS, SIZES
from shared.tracing import Tracing, context_of

_logger = logging.getLogger(__name__)

_LINE: Final = 100
"""Most correlation ids of a line of the log; a batch with more has several lines."""


class ProjectionTelemetry:
    """Told of each batch that was projected, once its readers can see it."""

    def __init__(self, registry: CollectorRegistry, tracing: Tracing) -> None:
        self._tracing = tracing
        self._events = Histogram(
            "daicho_projection_batch_events", "Events in one batch", buckets=SIZES, registry=registry
        )
        self._seconds = Histogram(
            "daicho_projection_batch_seconds", "Time from when a batch was read until it was committed", buckets=SECONDS, registry=registry
        )  # fmt: skip
        self._delay = Histogram(
            "daicho_projection_delay_seconds", "Age of a batch's first event when its readers could see it", buckets=SECONDS, registry=registry
        )  # fmt: skip

    def projected(self, records: Sequence[RecordedEvent], started: int) -> None:
        """Tell of a batch that was begun at a time in nanoseconds of the epoch, and is committed now."""
        seconds = (time_ns() - started) / 1e9
        delay = max((datetime.now(UTC) - records[0].recorded_at).total_seconds(), 0.0)
        self._events.observe(len(records))
        self._seconds.observe(seconds)
        self._delay.observe(delay)
        is_logged = _logger.isEnabledFor(logging.INFO)
        if not is_logged and not self._tracing.is_on:
            return
        told = {"events": len(records), "first_position": records[0].position, "last_position": records[-1].position}
        parents = (record.origin("traceparent") for record in records if self._tracing.is_on)
        contexts = (context for one in parents if (context := context_of(one)) is not None)
        attributes = {f"daicho.{name}": value for name, value in told.items()}
        with self._tracing.work_for(contexts, "project", attributes, started):
            if is_logged:
                times = {"milliseconds": round(seconds * 1000, 3), "delay_milliseconds": round(delay * 1000, 3)}
                for ids in _parts(records):
                    _logger.info("projected", extra={**told, **times, "correlation_ids": ids})


def _parts(records: Sequence[RecordedEvent]) -> Iterator[list[str]]:
    """Give the correlation ids of the commands that led to them, so many at once as a line has room for."""
    ids = iter(dict.fromkeys(one for record in records if (one := record.origin("correlation_id")) is not None))
    yield list(islice(ids, _LINE))
    while part := list(islice(ids, _LINE)):
        yield part
