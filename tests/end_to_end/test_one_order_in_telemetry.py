"""One trace, one search of the logs and the metrics tell where an order spent its time, from the request until it is seen."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.apps import ORDER
from tests.support.metrics import samples
from tests.support.otlp import Collector, Kept, collector
from tests.support.processes import free_port, logging_service
from tests.support.waiting import wait_until

pytestmark = pytest.mark.walks

TRACE, CLIENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SEARCHED = "one-order-4711"
HEADERS = {"traceparent": f"00-{TRACE}-{CLIENT}-01", "X-Correlation-ID": SEARCHED}


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def found(file: Path, wanted: str) -> dict[str, dict[str, Any]]:
    """Search a log as its readers do: by what a line has anywhere; give the lines by their message."""
    return {line["message"]: line for line in lines(file) if wanted in json.dumps(line)}


async def metrics(url: str) -> dict[str, float]:
    async with httpx.AsyncClient() as http:
        return samples((await http.get(f"{url}/metrics")).text)


def only(spans: list[Kept]) -> Kept:
    (one,) = spans
    return one


async def test_one_order_is_followed_through_all_three(database: str, tmp_path: Path) -> None:
    with collector() as traces:
        settings = {**traces.settings, "DAICHO_LOG_LEVEL": "info"}
        async with (
            logging_service("command", database, tmp_path / "command", settings) as commands,
            logging_service("query", database, tmp_path / "query", settings) as queries,
            httpx.AsyncClient() as http,
        ):
            placed = await http.post(f"{commands.url}/orders", json=ORDER, headers=HEADERS)
            position = placed.headers["Event-Position"]
            seen = {"Event-Position": position, "Prefer": "wait=30"}
            read = await http.get(f"{queries.url}{placed.headers['Location']}", headers=seen)
            assert read.json()["status"] == "pending"
            (event,) = (await http.get(f"{queries.url}/events")).json()["items"]
            told = {**await metrics(commands.url), **await metrics(queries.url)}
            await wait_until(lambda: _has(traces, "project"), "the projection's span has come")
    request = only(traces.named("POST /orders"))
    assert (request.service, request.trace, request.parent) == ("daicho-command", TRACE, CLIENT)
    assert event["metadata"]["traceparent"] == f"00-{TRACE}-{request.id}-01"
    append = only(traces.named("append"))
    assert (append.trace, append.parent, append.links) == (TRACE, request.id, {(TRACE, request.id)})
    assert append.attributes["daicho.commits"] == 1
    assert (TRACE, append.id) in request.links
    (sent,) = [one for one in request.span.events if one.name == "sent"]
    assert "daicho.waited_ms" in {one.key for one in sent.attributes}
    project = only(traces.named("project"))
    assert (project.service, project.trace, project.parent) == ("daicho-query", TRACE, request.id)
    assert project.links == {(TRACE, request.id)}
    assert (project.attributes["daicho.first_position"], project.attributes["daicho.events"]) == (int(position), 1)

    written = found(tmp_path / "command", SEARCHED)
    assert written.keys() == {"append", "PlaceOrder: done"}
    done = written["PlaceOrder: done"]
    assert (done["level"], done["service"], done["trace_id"]) == ("info", "daicho-command", TRACE)
    assert (done["aggregate_id"], done["position"]) == (placed.json()["order_id"], int(position))
    assert written["append"]["waited_milliseconds"] >= 0 < done["milliseconds"]
    (projected,) = found(tmp_path / "query", SEARCHED).values()
    assert (projected["message"], projected["first_position"], projected["trace_id"]) == ("projected", 1, TRACE)
    assert projected["milliseconds"] > 0 <= projected["delay_milliseconds"]

    assert told['daicho_command_seconds_count{"command": "PlaceOrder", "outcome": "done"}'] == 1
    assert told["daicho_append_seconds_count"] == told["daicho_append_wait_seconds_count"] == 1
    assert told["daicho_projection_batch_events_sum"] == told["daicho_projection_delay_seconds_count"] == 1


async def test_what_was_refused_and_what_was_malformed_is_told_too(database: str, tmp_path: Path) -> None:
    with collector() as traces:
        settings = {**traces.settings, "DAICHO_LOG_LEVEL": "info"}
        async with (
            logging_service("command", database, tmp_path / "command", settings) as commands,
            httpx.AsyncClient(base_url=commands.url) as http,
        ):
            headers = {"traceparent": HEADERS["traceparent"].upper(), "X-Correlation-ID": SEARCHED}
            where = (await http.post("/orders", json=ORDER, headers=headers)).headers["Location"]
            assert (await http.post(f"{where}/ship", headers={"X-Correlation-ID": "too-early"})).status_code == 409
            told = await metrics(commands.url)
            await wait_until(lambda: _has(traces, "POST /orders/{order_id}/ship"), "the span has come")
    placed = only(traces.named("POST /orders"))
    assert placed.trace != TRACE
    assert placed.parent == ""
    refused = found(tmp_path / "command", "too-early")["ShipOrder: invalid-transition"]
    assert (f"/orders/{refused['aggregate_id']}", refused["outcome"]) == (where, "invalid-transition")
    assert refused["trace_id"] == only(traces.named("POST /orders/{order_id}/ship")).trace
    assert told['daicho_command_seconds_count{"command": "ShipOrder", "outcome": "invalid-transition"}'] == 1


async def test_a_collector_that_is_away_costs_spans_and_nothing_else(database: str, tmp_path: Path) -> None:
    settings = Collector(free_port()).settings
    async with (
        logging_service("command", database, tmp_path / "command", settings) as commands,
        httpx.AsyncClient(base_url=commands.url) as http,
    ):
        assert (await http.post("/orders", json=ORDER)).status_code == 201
        await wait_until(lambda: _tells(tmp_path / "command", "opentelemetry"), "it is told that none are sent")
        assert (await http.post("/orders", json=ORDER)).status_code == 201
        assert await commands.stop() == 0


async def _tells(file: Path, logger: str) -> bool:
    return any(line["logger"].startswith(logger) for line in lines(file))


async def _has(traces: Collector, name: str) -> bool:
    return bool(traces.named(name))
