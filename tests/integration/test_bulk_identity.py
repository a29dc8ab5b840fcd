"""Whose commands a bulk request's lines are: its sender's, with their scope, their keys and their name. I6, I7."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.test_bulk import Lines, a_story, post, send
from tests.support.apps import ORDER, command_service
from tests.support.documented import watched
from tests.support.http import assert_problem, events, place
from tests.support.tokens import SigningKey, bearer, trusting

KEY = SigningKey("one")
PLACE: Lines = [{"command": "PlaceOrder", "key": f"k-{number}", **ORDER} for number in range(3)]


@pytest.fixture
async def commands(database: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with command_service(database, **trusting(tmp_path, KEY)) as client:
        yield watched(client, "command")


def of(subject: str, scope: str = "orders:write") -> dict[str, str]:
    return bearer(KEY.token(sub=subject, scope=scope))


async def test_without_its_scope_no_line_is_looked_at(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    """I6: good lines append nothing, bad ones are told nothing of."""
    for headers, status, slug in (
        ({}, 401, "unauthorized"),
        (of("aiko", "orders:read operations"), 403, "forbidden"),
        (of("aiko", ""), 403, "forbidden"),
    ):
        for content in (b'{"command": "PlaceOrder"', b"", b"{}\n" * 1001):
            assert "errors" not in assert_problem(await post(commands, content, **headers), status, slug)
        with pytest.raises(AssertionError, match=slug):
            await send(commands, PLACE, **headers)
    assert await events(engine) == []
    assert [one["status"] for one in await send(commands, PLACE, **of("aiko"))] == [201] * 3


async def test_a_lines_key_is_its_senders(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    """I7: on lines and on requests of their own alike."""
    first = await send(commands, PLACE, **of("aiko"))
    others = await send(commands, PLACE, **of("ben"))
    assert not any("replayed" in one for one in first + others)
    assert len({one["body"]["order_id"] for one in first + others}) == 6
    for sender, answers in (("aiko", first), ("ben", others)):
        again = await send(commands, PLACE, **of(sender))
        assert again == [{**one, "replayed": True} for one in answers]
        by_itself = await place(commands, **{"Idempotency-Key": "k-1"}, **of(sender))
        assert (by_itself.json(), by_itself.headers["Idempotency-Replayed"]) == (answers[1]["body"], "true")
    assert len(await events(engine)) == 6


async def test_events_of_lines_tell_who_sent_them_with_what(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    about = {"X-Correlation-ID": "import-7", "traceparent": trace}
    await send(commands, a_story(str(uuid4()), "s") + a_story(str(uuid4())), **about, **of("aiko"))
    await send(commands, PLACE, **of("ben"))
    told = [event.metadata for event in await events(engine)]
    assert [one["actor"] for one in told] == ["aiko"] * 6 + ["ben"] * 3
    assert {(one["correlation_id"], one["traceparent"]) for one in told[:6]} == {("import-7", trace)}
    assert len({one["correlation_id"] for one in told[6:]} - {"import-7"}) == 1
    assert len({one["causation_id"] for one in told}) == 9
    assert ["idempotency_fingerprint" in one for one in told].count(True) == 6
