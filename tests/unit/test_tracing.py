"""Traces: what is done for several commands has one span, which is linked with each of them."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanContext, TraceFlags
from prometheus_client import CollectorRegistry

from command_service.event_store import Commit, Outcome
from command_service.group_commit import GroupCommit, Limits
from command_service.memory_store import InMemoryEventStore
from command_service.settings import CommandSettings
from command_service.telemetry import AppendTelemetry
from shared.settings import load
from shared.tracing import MOST_LINKS, Tracing, context_of
from tests.support.events import a_commit
from tests.support.spans import Spans, identity, links

WELL_FORMED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def context(number: int, *, is_sampled: bool = True) -> SpanContext:
    return SpanContext(1, number, is_remote=True, trace_flags=TraceFlags(int(is_sampled)))


class HeldStore(InMemoryEventStore):
    """Appends when it is let."""

    def __init__(self) -> None:
        super().__init__(lambda: datetime.now(UTC))
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def append(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        self.begun.set()
        await self.go_on.wait()
        return await super().append(commits)


async def test_commands_that_share_an_append_are_linked_with_it() -> None:
    spans, store = Spans(), HeldStore()
    group_commit = GroupCommit(store, Limits(), lambda: 0.0, AppendTelemetry(CollectorRegistry(), spans.tracing))

    async def command(name: str) -> None:
        with spans.tracer.start_as_current_span(name):
            await group_commit.append(a_commit())

    running = asyncio.create_task(group_commit.run())
    alone = asyncio.create_task(command("alone"))
    await store.begun.wait()
    together = [asyncio.create_task(command("together")) for _ in range(3)]
    await asyncio.sleep(0)
    store.go_on.set()
    await asyncio.gather(alone, *together)
    running.cancel()
    first, second = spans.named("append")
    assert links(first) == {identity(spans.named("alone")[0].context)}
    commands = spans.named("together")
    assert links(second) == {identity(one.context) for one in commands}
    assert second.attributes is not None
    assert second.attributes["daicho.commits"] == second.attributes["daicho.shared_by"] == 3
    assert identity(second.parent) in links(second)
    for one in commands:
        assert links(one) == {identity(second.context)}
        assert [event.name for event in one.events] == ["sent"]


async def test_a_bulk_request_is_linked_once() -> None:
    spans = Spans()
    telemetry = AppendTelemetry(CollectorRegistry(), spans.tracing)
    group_commit = GroupCommit(InMemoryEventStore(lambda: datetime.now(UTC)), Limits(), lambda: 0.0, telemetry)
    running = asyncio.create_task(group_commit.run())
    with spans.tracer.start_as_current_span("bulk"):
        await group_commit.append_all([a_commit() for _ in range(3)])
    running.cancel()
    (append,), (bulk,) = spans.named("append"), spans.named("bulk")
    assert links(append) == {identity(bulk.context)}
    assert [identity(link.context) for link in bulk.links] == [identity(append.context)]
    assert len(bulk.events) == 1


def test_what_is_not_sampled_has_no_span_and_no_link() -> None:
    spans = Spans()
    with spans.tracing.work_for([context(1, is_sampled=False)], "work", {}) as none:
        assert none is None
    with spans.tracing.work_for([context(2, is_sampled=False), context(3), context(3)], "work", {}):
        pass
    (span,) = spans.named("work")
    assert links(span) == {(1, 3)}
    assert identity(span.parent) == (1, 3)


def test_links_are_bounded() -> None:
    """I10."""
    spans = Spans()
    with spans.tracing.work_for(map(context, range(1, MOST_LINKS + 100)), "work", {}):
        pass
    (span,) = spans.named("work")
    assert len(span.links) == MOST_LINKS
    assert span.attributes == {"daicho.shared_by": MOST_LINKS + 99}


def test_without_a_provider_nothing_is_made() -> None:
    spans, tracing = Spans(), Tracing()
    with spans.tracer.start_as_current_span("request"):
        assert (tracing.span(), tracing.traceparent(), tracing.is_on) == (None, None, False)
        with tracing.work_for([context(1)], "work", {}) as none:
            assert none is None
        request = trace.get_current_span().get_span_context()
        assert identity(context_of(spans.tracing.traceparent())) == identity(request)


@pytest.mark.parametrize(
    "malformed",
    [None, "", "nonsense", "00-0-0-0", WELL_FORMED.upper(), "ff" + WELL_FORMED[2:], f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{'1' * 32}-{'0' * 16}-01"],
)  # fmt: skip
def test_a_malformed_traceparent_names_nothing(malformed: str | None) -> None:
    assert context_of(WELL_FORMED) is not None
    assert context_of(malformed) is None


def test_traces_that_nothing_can_send_are_refused_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAICHO_DATABASE_URL", "postgresql://127.0.0.1/none")
    monkeypatch.setenv("DAICHO_TRACES", "otlp")
    assert load(CommandSettings).traces == "otlp"
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SystemExit) as ended:
        load(CommandSettings)
    error = capsys.readouterr().err
    assert (ended.value.code, error.count("\n")) == (2, 1)
    assert error.startswith("DAICHO_TRACES: otlp needs ")
    assert "pip install 'daicho[traces]'" in error


def test_without_traces_their_sdk_is_not_loaded() -> None:
    code = (
        "import sys\n"
        "from command_service.main import create as commands\n"
        "from query_service.main import create as queries\n"
        "commands(), queries()\n"
        "sys.exit([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))] or 0)"
    )
    environment = {"DAICHO_DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
