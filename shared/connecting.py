"""Connects to whichever of several servers takes writes: before a failover the one, after it the other."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg


async def connect(*, host: str | Sequence[str], port: int | Sequence[int] | None = None, **options: Any) -> Any:
    """Connect as `asyncpg.connect` does, but to all hosts at once; the first that fits is taken.

    asyncpg would try one after the other, within one time limit for all: a silent one would keep it from the next.
    """
    hosts = [host] if isinstance(host, str) else host
    ports = port if isinstance(port, Sequence) else [port] * len(hosts)
    attempts = [
        asyncio.create_task(asyncpg.connect(host=one, port=its_port, **options))
        for one, its_port in zip(hosts, ports, strict=True)
    ]
    won: asyncio.Task[Any] | None = None
    try:
        pending = set(attempts)
        while won is None and pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            won = next((one for one in done if one.exception() is None), None)
    finally:
        await _drop([one for one in attempts if one is not won])
    if won is None:
        raise _most_telling([error for one in attempts if (error := one.exception()) is not None])
    return won.result()


async def _drop(attempts: Sequence[asyncio.Task[Any]]) -> None:
    for one in attempts:
        one.cancel()
    for connected in await asyncio.gather(*attempts, return_exceptions=True):
        if not isinstance(connected, BaseException):
            connected.terminate()


def _most_telling(errors: Sequence[BaseException]) -> BaseException:
    """Choose what a server said over another's silence; that none takes writes now is a connection that failed."""
    for error in errors:
        if not isinstance(error, OSError | asyncpg.InternalClientError):
            return error
    return ConnectionError("; ".join(str(error) or type(error).__name__ for error in errors))
