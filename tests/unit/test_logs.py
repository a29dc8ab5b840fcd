"""Logs: an object a line for machines, lines to read for people; both tell which request and trace they are about."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from shared.logs import JsonFormatter, LogFormat, TextFormatter, configure_logs, correlation
from tests.support.spans import Spans


@pytest.fixture
def correlated() -> Iterator[str]:
    token = correlation.set("order-4711")
    yield "order-4711"
    correlation.reset(token)


@contextmanager
def bare_root() -> Iterator[None]:
    """Have the root logger as a process of its own has it; pytest's is put back."""
    root, names = logging.getLogger(), ("command_service", "query_service", "shared", "shared.fair_pool")
    handlers, level, levels = root.handlers[:], root.level, [logging.getLogger(name).level for name in names]
    root.handlers[:] = []
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in zip(names, levels, strict=True):
            logging.getLogger(name).setLevel(before)


def record(message: str, *values: object, error: Exception | None = None, **extra: object) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error else None
    return logging.getLogger("shared.test").makeRecord(
        "shared.test", logging.WARNING, __file__, 1, message, values, exc_info, extra=extra
    )


def written(one: logging.LogRecord) -> dict[str, Any]:
    text = JsonFormatter("daicho-command").format(one)
    assert "\n" not in text
    members: dict[str, Any] = json.loads(text)
    return members


def test_a_line_of_json_names_the_request_and_what_was_told(correlated: str) -> None:
    line = written(record("it took %d tries", 3, aggregate_id="7"))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "service": "daicho-command",
        "logger": "shared.test",
        "message": "it took 3 tries",
        "correlation_id": correlated,
        "aggregate_id": "7",
    }


def test_outside_of_a_request_there_is_none() -> None:
    assert written(record("started")).keys() == {"time", "level", "service", "logger", "message"}


def test_what_was_told_knows_better_than_the_request_at_hand(correlated: str) -> None:
    assert written(record("parked", correlation_id="another"))["correlation_id"] == "another" != correlated


def test_a_line_names_the_span_at_hand() -> None:
    spans = Spans()
    with spans.tracer.start_as_current_span("request") as span:
        line = written(record("slow"))
    context = span.get_span_context()
    assert (int(line["trace_id"], 16), int(line["span_id"], 16)) == (context.trace_id, context.span_id)


def test_what_was_raised_is_in_the_line_and_whatever_is_told_can_be_written() -> None:
    line = written(record("failed\nin two lines", error=ValueError("why"), what=object()))
    assert line["message"] == "failed\nin two lines"
    assert "ValueError: why" in line["exception"]


def test_people_read_a_line_with_what_else_is_told(correlated: str) -> None:
    text = TextFormatter("daicho-query").format(record("a batch failed", error=ValueError("why"), position=7))
    first, *others = text.splitlines()
    assert first.endswith(f"WARNING daicho-query a batch failed  correlation_id={correlated} position=7")
    assert others[-1] == "ValueError: why"


@pytest.mark.parametrize(
    ("log_format", "is_terminal", "is_json"),
    [("auto", True, False), ("auto", False, True), ("json", True, True), ("text", False, False)],
)
def test_a_terminal_is_written_to_in_text(
    monkeypatch: pytest.MonkeyPatch, log_format: LogFormat, *, is_terminal: bool, is_json: bool
) -> None:
    output = io.StringIO()
    monkeypatch.setattr(output, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stderr", output)
    with bare_root():
        configure_logs("daicho-query", log_format, "info")
        logging.getLogger("query_service.x").info("projected")
        logging.getLogger("httpx").info("of no use")
        logging.getLogger("shared.fair_pool.FairPool").info("of no use")
    (line,) = output.getvalue().splitlines()
    assert line.startswith("{") is is_json
    assert "projected" in line
