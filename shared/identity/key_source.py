"""Where the issuer's keys come from, a URL or a file, read again and again: issuers change their keys."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from shared.identity.errors import KeysUnavailable
from shared.identity.key_set import KeySet

_FETCH_SECONDS = 5.0
_MOST_BYTES = 262_144

_logger = logging.getLogger(__name__)

Read = Callable[[], Awaitable[bytes]]
"""Gives a key set's text; raises `OSError` or `httpx.HTTPError` if it cannot be had."""


class KeySource:
    """The issuer's keys as they were last read; `run` reads them every so many seconds, in the background.

    A token of an unknown key has them read at once, but not more often than every `pause` seconds, however many such
    tokens come. While they cannot be read, the last ones go on.
    """

    def __init__(self, read: Read, *, every: float, pause: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.keys = KeySet(())
        self._read = read
        self._every = every
        self._pause = pause
        self._clock = clock
        self._text: bytes | None = None
        self._problem: str | None = "they have not been read yet"
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def run(self) -> None:
        """Keep the keys current until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._every if self._problem is None else self._pause)

    async def refresh(self) -> None:
        """Read the keys, unless that was tried within the last `pause` seconds, or is being tried: then wait for that."""
        async with self._reading:
            if self._clock() < self._read_at + self._pause:
                return
            try:
                self._take(await self._read())
            except (OSError, httpx.HTTPError, ValueError) as error:
                self._problem = f"they cannot be read: {_reason(error)}"
                _logger.warning("token keys: %s", self._problem)
            self._read_at = self._clock()

    @property
    def is_empty(self) -> bool:
        """Tell whether there are no keys at all."""
        return self._text is None

    async def check(self) -> None:
        """Raise `KeysUnavailable` if there are no keys at all."""
        if self.is_empty:
            raise KeysUnavailable(f"there are no token keys: {self._problem}")

    async def require_current(self) -> None:
        """Raise `KeysUnavailable` if the keys could not be read the last time; the earlier ones serve."""
        if self._problem is not None:
            raise KeysUnavailable(f"the token keys are the earlier ones: {self._problem}")

    def _take(self, text: bytes) -> None:
        if text != self._text:
            self.keys = KeySet.parse(text)
            self._text = text
        self._problem = None


def keys_of_file(path: Path) -> KeySource:
    """Give the keys that are in a file; one that is replaced is seen within a second."""

    async def read() -> bytes:
        return await asyncio.to_thread(path.read_bytes)

    return KeySource(read, every=1.0, pause=0.2)


def keys_of_url(url: str) -> KeySource:
    """Give the keys that are published at a URL; fetched every five minutes, for an unknown key every ten seconds."""

    async def read() -> bytes:
        async with (
            asyncio.timeout(_FETCH_SECONDS),
            httpx.AsyncClient(timeout=_FETCH_SECONDS) as client,
            client.stream("GET", url, headers={"Accept": "application/json"}) as answer,
        ):
            answer.raise_for_status()
            text = b""
            async for piece in answer.aiter_bytes():
                text += piece
                if len(text) > _MOST_BYTES:
                    raise ValueError(f"it is larger than {_MOST_BYTES} bytes")
            return text

    return KeySource(read, every=300.0, pause=10.0)


def _reason(error: Exception) -> str:
    """Tell what went wrong, in words that may be shown to anyone who asks for `/health/ready`."""
    match error:
        case httpx.HTTPStatusError():
            return f"the answer is {error.response.status_code}"
        case httpx.HTTPError() | TimeoutError():
            return type(error).__name__
        case OSError():
            return error.strerror or type(error).__name__
        case _:
            return f"the key set {error}"
