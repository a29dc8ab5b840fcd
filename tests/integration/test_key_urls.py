"""Keys that an issuer publishes at a URL: fetched when they are needed, bounded, and never from where a redirect leads."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.identity.errors import KeysUnavailable
from shared.identity.key_source import keys_of_file, keys_of_url
from tests.support.apps import command_service
from tests.support.http import events, place
from tests.support.publisher import Publisher, publishing
from tests.support.tokens import ISSUER, SigningKey, bearer, key_set
from tests.support.waiting import wait_until

OLD, NEW = SigningKey("old"), SigningKey("new", "EdDSA")


@pytest.fixture
async def publisher() -> AsyncIterator[Publisher]:
    async with publishing(OLD) as one:
        yield one


async def test_keys_are_fetched_once_for_many_requests(
    database: str, publisher: Publisher, engine: AsyncEngine
) -> None:
    async with command_service(database, token_issuer=ISSUER, jwks_url=publisher.url) as commands:
        answers = await asyncio.gather(*(place(commands, **bearer(OLD.token(jti=str(n)))) for n in range(20)))
        assert {answer.status_code for answer in answers} == {201}
        unknown = await asyncio.gather(*(place(commands, **bearer(NEW.token(jti=str(n)))) for n in range(20)))
        assert {answer.status_code for answer in unknown} == {401}
    assert publisher.requests == 1
    assert len(await events(engine)) == 20


async def test_a_replaced_key_is_fetched_when_a_token_is_signed_with_it(publisher: Publisher) -> None:
    source = keys_of_url(publisher.url)
    source._pause = 0.0
    await source.refresh()
    publisher.content = key_set(OLD, NEW)
    assert source.keys.find("new", "EdDSA") is None
    await source.refresh()
    assert source.keys.find("new", "EdDSA") is not None


@pytest.mark.parametrize(
    ("status", "content", "told"),
    [
        ("500 Internal Server Error", key_set(OLD), "the answer is 500"),
        ("302 Found", key_set(OLD), "the answer is 302"),
        ("200 OK", b"<html>", "the key set is not JSON"),
        ("200 OK", b" " * 300_000, "is larger than 262144 bytes"),
    ],
)
async def test_what_is_no_key_set_is_not_taken(publisher: Publisher, status: str, content: bytes, told: str) -> None:
    publisher.status, publisher.content = status, content
    source = keys_of_url(publisher.url)
    await source.refresh()
    with pytest.raises(KeysUnavailable, match=told):
        await source.check()
    assert publisher.requests == 1


async def test_the_keys_are_read_again_in_the_background(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(OLD))
    source = keys_of_file(path)
    running = asyncio.create_task(source.run())

    async def has_the_new_one() -> bool:
        return source.keys.find("new", "EdDSA") is not None

    try:
        await wait_until(lambda: _has(source.check), "the keys are read")
        path.write_bytes(b"{")  # half written
        await wait_until(lambda: _lacks(source.require_current), "it is seen that they cannot be read")
        await source.check()
        path.write_bytes(key_set(NEW))
        await wait_until(has_the_new_one, "the new key is there")
        assert source.keys.find("old", "ES256") is None
    finally:
        running.cancel()


async def _has(check: object) -> bool:
    return not await _lacks(check)


async def _lacks(check: object) -> bool:
    assert callable(check)
    try:
        await check()
    except KeysUnavailable:
        return True
    return False
