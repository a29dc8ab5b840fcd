"""What a service logs: JSON, a line each, or lines to be read on a terminal; both tell which request they are about."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal

from opentelemetry import trace

LogFormat = Literal["auto", "json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]

correlation: Final[ContextVar[str | None]] = ContextVar("correlation", default=None)
"""The correlation id of the request that is being answered."""

_OWN: Final = ("command_service", "query_service", "shared")
"""Whose loggers have the level that is asked for; those of libraries tell of what is wrong alone."""
_POOLS: Final = "shared.fair_pool"
"""The logger that SQLAlchemy has for our pools: what it tells is of no use to who looks after the ledger."""
_USUAL: Final = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"))
"""What every record has; the rest was given by `extra`."""


class _Formatter(logging.Formatter):
    """Gives what a record tells beside its message."""

    def members(self, record: logging.LogRecord) -> dict[str, Any]:
        """Name the request and trace at hand, then what was given with the record, which knows better."""
        given = {name: value for name, value in vars(record).items() if name not in _USUAL}
        span = trace.get_current_span().get_span_context()
        traced = {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"} if span.is_valid else {}
        request = correlation.get()
        return {**({} if request is None else {"correlation_id": request}), **traced, **given}


class JsonFormatter(_Formatter):
    """An object on each line, for machines; `service` is who writes it."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            **self.members(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(_Formatter):
    """For people: the time of day, the message, and what else is told as `name=value`."""

    def __init__(self, service: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {service} %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as logging has it
        """Write all but what was raised."""
        members = " ".join(f"{name}={value}" for name, value in self.members(record).items())
        return f"{super().formatMessage(record)}{f'  {members}' if members else ''}"


def configure_logs(service: str, log_format: LogFormat, level: LogLevel) -> None:
    """Have this process log to standard error; `auto` is text where that is a terminal."""
    is_text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter(service) if is_text else JsonFormatter(service))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    for name in _OWN:
        logging.getLogger(name).setLevel(level.upper())
    logging.getLogger(_POOLS).setLevel(logging.WARNING)
