"""Ids, back-off, process, start."""

import asyncio
import re
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from uuid import RFC_4122, UUID

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from query_service.settings import QuerySettings
from shared.backoff import backoff
from shared.errors import DatabaseUnavailable
from shared.ids import derived_id, new_id, new_id_text
from shared.process import allow_many_connections, on_stop_signal
from shared.settings import load
from shared.web.server import told_plainly
from tests.support.waiting import wait_until


def test_a_derived_id_is_stable_for_ever() -> None:
    assert derived_id("a", "b") == UUID("16275ef0-f5d0-8b9d-99e0-a53277549fda")


@pytest.mark.parametrize("other", [("ab",), ("a", "bc"), ("ab", "c", ""), ("", "abc"), ("ab", "d"), ("c", "ab"), ()])
def test_a_derived_id_depends_on_where_its_parts_end(other: tuple[str, ...]) -> None:
    assert derived_id("ab", "c") != derived_id(*other)


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=3))
def test_a_derived_id_is_version_8_of_the_rfcs_variant(parts: list[str]) -> None:
    made = derived_id(*parts)
    assert (made.version, made.variant) == (8, RFC_4122)


@given(
    st.lists(st.text(st.characters(codec="utf-8")), max_size=3),
    st.lists(st.text(st.characters(codec="utf-8")), max_size=3),
)
def test_other_parts_make_another_id(one: list[str], other: list[str]) -> None:
    assert (derived_id(*one) == derived_id(*other)) == (one == other)


def test_new_ids_are_version_7_and_in_order() -> None:
    ids = [new_id() for _ in range(100)]
    assert {one.version for one in ids} == {UUID(new_id_text()).version} == {7}
    assert len(set(ids)) == 100
    assert [one.int >> 80 for one in ids] == sorted(one.int >> 80 for one in ids)


def test_delays_double_up_to_their_limit() -> None:
    delays = list(islice(backoff(first=1.0, limit=10.0), 8))
    for delay, full in zip(delays, [1, 2, 4, 8, 10, 10, 10, 10], strict=True):
        assert full / 2 <= delay <= full


async def test_a_stop_signal_is_heard_beside_whoever_hears_it_already() -> None:
    server, app = asyncio.Event(), asyncio.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: server.set())
    try:
        with on_stop_signal(lambda: None, app.set):
            signal.raise_signal(signal.SIGTERM)
            await app.wait()
            assert server.is_set()
        app.clear()
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0)
        assert not app.is_set()
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_stop_signal_begins_a_delay_which_a_second_one_ends() -> None:
    said: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: said.append("server"))
    try:
        with on_stop_signal(lambda: said.append("stop"), lambda: said.append("end"), delay=60):
            signal.raise_signal(signal.SIGTERM)
            await wait_until(lambda: _are(said, ["stop"]), "it has begun")
            signal.raise_signal(signal.SIGTERM)
            await wait_until(lambda: _are(said, ["stop", "stop", "end", "server"]), "it has ended")
    finally:
        signal.signal(signal.SIGTERM, before)


async def _are(said: list[str], wanted: list[str]) -> bool:
    return said == wanted


async def test_a_signal_that_nobody_handles_keeps_its_effect() -> None:
    with on_stop_signal(lambda: None, lambda: None):
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_process_may_have_more_connections_than_usual_up_to_the_hard_limit() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
    try:
        allow_many_connections()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(before[1], 65_536), before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("error", "told"), [(DatabaseUnavailable("it is away"), "^it is away$"), (KeyError("x"), "Traceback")]
)
async def test_what_keeps_a_service_from_starting_is_told_in_a_line_unless_it_is_a_defect(
    error: Exception, told: str
) -> None:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        raise error
        yield

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(type(error)):
        await told_plainly(FastAPI(lifespan=lifespan))({"type": "lifespan", "state": {}}, receive, send)
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert re.search(told, sent[0]["message"])


def test_there_must_be_room_beside_streams(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DAICHO_MAX_CONNECTIONS", "2000")
    with pytest.raises(SystemExit):
        load(QuerySettings, database_url="postgresql:///x")
    assert "DAICHO_MAX_STREAMS must be less than DAICHO_MAX_CONNECTIONS" in capsys.readouterr().err
    monkeypatch.setenv("DAICHO_MAX_STREAMS", "1999")
    load(QuerySettings, database_url="postgresql:///x")
