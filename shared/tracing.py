"""Traces, by OpenTelemetry. Its SDK is installed by who asks for them; where nobody does, no span is made."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from threading import Thread
from typing import Any, Final, Literal

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanContext, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Traces = Literal["off", "otlp"]

MOST_LINKS: Final = 128
"""Of one span, as OpenTelemetry's SDK has it; a batch may hold more."""

_CLOSE_SECONDS: Final = 2.0
_EXPORTING: Final = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")
_PROPAGATOR: Final = TraceContextTextMapPropagator()


def require_exporter(traces: Traces) -> Traces:
    """Raise `ValueError` if traces are asked for, and what exports them is not installed."""
    if traces == "otlp":
        try:
            for module in _EXPORTING:
                import_module(module)
        except ImportError as error:
            raise ValueError("otlp needs OpenTelemetry's SDK and exporter: pip install 'daicho[traces]'") from error
    return traces


class Tracing:
    """Makes a service's spans; without a provider, none. `close` sends those that are not sent yet."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self.provider = provider
        self._tracer = provider.get_tracer("daicho", version("daicho")) if provider is not None else None

    @classmethod
    def of(cls, service: str, traces: Traces) -> "Tracing":
        """Build it as the settings have it; where spans are sent to, and which, is told by OpenTelemetry's own variables."""
        return cls(_exporting(service) if traces == "otlp" else None)

    @property
    def is_on(self) -> bool:
        """Whether there are spans at all."""
        return self._tracer is not None

    def span(self) -> Span | None:
        """Give the span of the request at hand."""
        if self._tracer is None:
            return None
        span = trace.get_current_span()
        return span if span.get_span_context().is_valid else None

    def traceparent(self) -> str | None:
        """Give what the request at hand is known by to whoever goes on with it."""
        if self._tracer is None:
            return None
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier.get("traceparent")

    @contextmanager
    def work_for(
        self, contexts: Iterable[SpanContext], name: str, attributes: Mapping[str, Any], start: int | None = None
    ) -> Iterator[Span | None]:
        """Make a span of what is done at once for several, which began at `start` (nanoseconds of the epoch; None: now).

        It links to each of them that is sampled, is in the trace of the first, and is there if there is one.
        """
        sampled = list({(one.trace_id, one.span_id): one for one in contexts if one.trace_flags.sampled}.values())
        if self._tracer is None or not sampled:
            yield None
            return
        parent = trace.set_span_in_context(trace.NonRecordingSpan(sampled[0]))
        links = [Link(one) for one in sampled[:MOST_LINKS]]
        with self._tracer.start_as_current_span(
            name, parent, attributes={**attributes, "daicho.shared_by": len(sampled)}, links=links, start_time=start
        ) as span:
            yield span

    def close(self) -> None:
        """Send what is left, for some seconds at most; blocks."""
        if self.provider is not None and hasattr(self.provider, "shutdown"):
            # OpenTelemetry's SDK tries for longer where no collector answers, whatever it is told.
            sending = Thread(target=self.provider.shutdown, daemon=True)
            sending.start()
            sending.join(_CLOSE_SECONDS)


def context_of(traceparent: str | None) -> SpanContext | None:
    """Give the span that a traceparent names; None if it is malformed."""
    if traceparent is None:
        return None
    context = trace.get_current_span(_PROPAGATOR.extract({"traceparent": traceparent})).get_span_context()
    return context if context.is_valid else None


def _exporting(service: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - same
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider  # noqa: PLC0415 - same
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - same

    resource = Resource.create({"service.name": service, "service.version": version("daicho")})
    provider = SdkTracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
