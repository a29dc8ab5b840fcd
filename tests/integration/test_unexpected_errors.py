"""An error that nobody foresaw is logged with the correlation id that its request was answered with."""

import io
import json
import logging

import pytest

from command_service.command_handler import CommandHandler
from shared.logs import JsonFormatter
from tests.support.apps import command_service
from tests.support.http import place


async def test_the_log_tells_which_request_it_was(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("nobody foresaw it")

    monkeypatch.setattr(CommandHandler, "handle", fail)
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(JsonFormatter("daicho-command"))
    logger = logging.getLogger("shared.web.problem_answers")
    logger.addHandler(handler)
    try:
        async with command_service(database) as http:
            answer = await place(http, **{"X-Correlation-ID": "unforeseen"})
            (line,) = map(json.loads, handler.stream.getvalue().splitlines())
            metrics = (await http.get("/metrics")).text
    finally:
        logger.removeHandler(handler)
    assert answer.status_code == 500
    assert (line["level"], line["correlation_id"]) == ("error", "unforeseen")
    assert "RuntimeError: nobody foresaw it" in line["exception"]
    assert 'daicho_command_seconds_count{command="PlaceOrder",outcome="internal-error"} 1.0' in metrics
