"""Who did it: an authenticated caller's identity is kept with the events, and has idempotency keys of its own."""

from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection

from command_service.app import create_app
from tests.support.apps import command_settings, running
from tests.support.http import events, place


class Caller(BaseUser):
    def __init__(self, identity: str) -> None:
        self._identity = identity

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def identity(self) -> str:
        return self._identity


class Named(AuthenticationBackend):
    """Takes a caller at their word."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        name = conn.headers.get("Authorization")
        return (AuthCredentials(), Caller(name)) if name else None


@pytest.fixture
async def known(database: str) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(command_settings(database))
    app.add_middleware(AuthenticationMiddleware, backend=Named())
    async with running(app) as client:
        yield client


async def test_the_callers_identity_is_the_actor_of_the_events(known: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await place(known, Authorization="aiko@example.com")
    await place(known)
    assert [event.metadata.get("actor") for event in await events(engine)] == ["aiko@example.com", None]


async def test_without_authentication_there_is_no_actor(commands: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await place(commands, Authorization="aiko@example.com", actor="aiko")
    (event,) = await events(engine)
    assert "actor" not in event.metadata


async def test_the_same_key_of_another_caller_is_another_key(known: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "k"}
    answers = [await place(known, Authorization=name, **key) for name in ("aiko", "ben", "aiko")]
    answers.append(await place(known, **key))
    assert [answer.json()["position"] for answer in answers] == [1, 2, 1, 3]
    assert ["Idempotency-Replayed" in answer.headers for answer in answers] == [False, False, True, False]
