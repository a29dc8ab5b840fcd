"""What Prometheus, the log and traces are told of commands and appends."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry.trace import Span
from prometheus_client import CollectorRegistry, Counter, Histogram

from shared.event_log.events import StreamId
from shared.metrics import SECONDS, SIZES
from shared.tracing import Tracing

_logger = logging.getLogger(__name__)


class CommandTelemetry:
    """Told of each command, once it is answered: its name, what became of it, and how many seconds that took.

    An outcome is `done`, `replayed`, or the slug of the problem that it was answered with.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "daicho_command_seconds",
            "Time from when a command was read until it was answered",
            ["command", "outcome"],
            buckets=SECONDS,
            registry=registry,
        )
        self._lines = Counter("daicho_bulk_lines", "Lines of bulk requests", ["outcome"], registry=registry)

    def answered(
        self, command: str, stream: StreamId, outcome: str, seconds: float, told: Mapping[str, object] | None = None
    ) -> None:
        """Tell of a command; `told` is what else its log line has."""
        self._seconds.labels(command, outcome).observe(seconds)
        if _logger.isEnabledFor(logging.INFO):
            members = {
                "command": command,
                "outcome": outcome,
                "aggregate_type": stream.aggregate_type,
                "aggregate_id": str(stream.aggregate_id),
                "milliseconds": _milliseconds(seconds),
            }
            _logger.info("%s: %s", command, outcome, extra={**members, **(told or {})})

    def answered_lines(self, outcomes: Mapping[str, int], seconds: float) -> None:
        """Tell of a bulk request: how many of its lines had each outcome."""
        for outcome, count in outcomes.items():
            self._lines.labels(outcome).inc(count)
        if _logger.isEnabledFor(logging.INFO):
            told = {"outcomes": dict(outcomes), "milliseconds": _milliseconds(seconds)}
            _logger.info("a bulk request of %d lines", sum(outcomes.values()), extra=told)


@dataclass(slots=True)
class Wait:
    """Of a commit: since when it waits, when it was sent (both by group commit's clock), and the span that it is part of."""

    since: float
    span: Span | None
    sent: float | None = None


class AppendTelemetry:
    """Told of each append, and of each commit that is part of one; `had_turn`: how long PostgreSQL had an append wait."""

    def __init__(self, registry: CollectorRegistry, tracing: Tracing) -> None:
        self._tracing = tracing
        self._commits = Histogram("daicho_append_commits", "Commits in one append", buckets=SIZES, registry=registry)
        self._seconds = Histogram(
            "daicho_append_seconds", "Time from when an append was sent until its outcome was known", buckets=SECONDS, registry=registry
        )  # fmt: skip
        self._waits = Histogram(
            "daicho_append_wait_seconds", "Time that a commit waited for its append to be sent", buckets=SECONDS, registry=registry
        )  # fmt: skip
        turns = Histogram(
            "daicho_append_lock_wait_seconds", "Time that an append waited for those of other processes", buckets=SECONDS, registry=registry
        )  # fmt: skip
        self.had_turn = turns.observe

    def begun(self, now: float) -> Wait:
        """Tell of a commit that begins to wait."""
        return Wait(now, self._tracing.span())

    @contextmanager
    def sending(self, waits: Sequence[Wait], now: float) -> Iterator[None]:
        """While this lasts, these commits are sent together."""
        self._commits.observe(len(waits))
        longest = 0.0
        for wait in waits:
            if wait.sent is None:
                wait.sent = now
                self._waits.observe(now - wait.since)
                longest = max(longest, now - wait.since)
        spans = [wait.span.get_span_context() for wait in waits if wait.span is not None]
        told = {"daicho.commits": len(waits), "daicho.longest_wait_ms": _milliseconds(longest)}
        with self._seconds.time(), self._tracing.work_for(spans, "append", told) as span:
            if span is not None:
                _link(span, waits)
            yield

    def settled(self, wait: Wait, now: float) -> None:
        """Tell of a commit that has an outcome; called by who waited for it."""
        if wait.sent is not None and _logger.isEnabledFor(logging.INFO):
            told = {
                "waited_milliseconds": _milliseconds(wait.sent - wait.since),
                "milliseconds": _milliseconds(now - wait.sent),
            }
            _logger.info("append", extra=told)


def _link(batch: Span, waits: Sequence[Wait]) -> None:
    """Tell each request's span how long the first of its commits waited, and which append they share with others."""
    for span, wait in {wait.span: wait for wait in reversed(waits)}.items():
        if span is not None and wait.sent is not None:
            told = {"daicho.waited_ms": _milliseconds(wait.sent - wait.since), "daicho.commits": len(waits)}
            span.add_event("sent", told)
            span.add_link(batch.get_span_context())


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
