"""Statements that the driver itself runs: over a few rows, SQLAlchemy's execution takes longer than PostgreSQL's.

SQLAlchemy makes them and keeps the connections; it sees no error of theirs, so what is lost is given up here.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy import Executable, make_url
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from shared.database import DRIVER_ERRORS, is_connection_failure, sqlstate, translate_errors
from shared.errors import DatabaseUnavailable

DIALECT: Dialect = make_url("postgresql+asyncpg://").get_dialect()()

_EXHAUSTED = "53"
"""SQLSTATE class: memory, disk or connections are used up."""


class Record(asyncpg.Record):
    """A row; a value is what the driver makes of it: a document is its text."""

    def __getattr__(self, name: str) -> Any:
        """Give the value in a column."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


async def fetch_records(
    engine: AsyncEngine, query: Executable, parameters: Mapping[str, object] | None = None
) -> Sequence[Record]:
    """Run one read-only statement in autocommit; again, once, if its pooled connection was broken.

    The query should be one of a few that are made once: what is made of it is kept. Parameters are what the driver takes for
    their types. Raises `DatabaseUnavailable` and `Overloaded`.
    """
    text, arguments = as_sent(query, parameters or {})
    with translate_errors():
        try:
            return await fetch_text(engine, text, arguments)
        except DRIVER_ERRORS as error:
            if not _is_lost(error) or isinstance(error, TimeoutError):
                raise
        return await fetch_text(engine, text, arguments)


async def fetch_text(engine: AsyncEngine, text: str, arguments: Sequence[object]) -> Sequence[Record]:
    """Run one statement. Raises `DatabaseUnavailable` where it cannot connect, and the driver's errors."""
    connection = await checked_out(engine)
    try:
        driver: Any = connection.driver_connection
        found: Sequence[Record] = await driver.fetch(text, *arguments, record_class=Record)
    except (asyncio.CancelledError, TimeoutError):
        await close_for_good(connection)
        raise
    except DRIVER_ERRORS as error:
        if _is_lost(error):
            await close_for_good(connection, engine)
        raise
    finally:
        connection.close()
    return found


async def fetch_in(connection: AsyncConnection, text: str, arguments: Sequence[object]) -> Sequence[Sequence[Any]]:
    """Run a statement in the connection's transaction. Raises the driver's errors, as `driver_of` does."""
    async with driver_of(connection) as driver:
        found: Sequence[Sequence[Any]] = await driver.fetch(text, *arguments)
    return found


@asynccontextmanager
async def driver_of(connection: AsyncConnection) -> AsyncIterator[Any]:
    """Give the driver's connection, in the transaction that is SQLAlchemy's, which begins one no sooner than it has to.

    One that was lost, or is to what has become a standby, is given up. Raises `DatabaseUnavailable` for one that was lost before.
    """
    pooled = await connection.get_raw_connection()
    driver: Any = pooled.driver_connection
    if not driver.is_in_transaction():
        adapted: Any = pooled.dbapi_connection
        try:
            await adapted._start_transaction()  # noqa: SLF001 - as its cursor does before the first statement
        except AsyncAdapt_asyncpg_dbapi.Error as error:
            await connection.invalidate()
            raise DatabaseUnavailable("the connection to the database was lost") from error
    try:
        yield driver
    except DRIVER_ERRORS as error:
        if is_connection_failure(error):
            await connection.invalidate()
        raise


def _is_lost(error: BaseException) -> bool:
    """Tell whether the connection is to blame, and not what the statement took."""
    return is_connection_failure(error) and not sqlstate(error).startswith(_EXHAUSTED)


async def checked_out(engine: AsyncEngine) -> PoolProxiedConnection:
    """Give one of the pool's connections, to be closed, without what SQLAlchemy makes around it: that takes three times as long.

    Raises `DatabaseUnavailable`, and SQLAlchemy's `TimeoutError` where none becomes free in time.
    """
    try:
        return await engine.raw_connection()
    except (AsyncAdapt_asyncpg_dbapi.Error, *DRIVER_ERRORS) as error:
        raise DatabaseUnavailable("the database cannot be reached") from error


def as_sent(query: Executable, parameters: Mapping[str, object]) -> tuple[str, Sequence[object]]:
    """Give a statement's text and its parameters, in order; what is made of it is kept. Raises `KeyError` for one that is missing."""
    statement = _statement(query)
    given = {**statement.values, **parameters}
    return statement.text, [given[name] for name in statement.names]


class _Statement(NamedTuple):
    """A statement's text, the names of its parameters in order, and the values of those that are its own."""

    text: str
    names: Sequence[str]
    values: Mapping[str, object]


@lru_cache(maxsize=1024)
def _statement(query: Executable) -> _Statement:
    compiled: Any = query.compile(dialect=DIALECT)  # type: ignore[attr-defined]
    values = {name: bind.effective_value for bind, name in compiled.bind_names.items() if not bind.required}
    return _Statement(compiled.string, compiled.positiontup, values)


async def close_for_good(connection: PoolProxiedConnection, of: AsyncEngine | None = None) -> None:
    """Close a connection that is not to be used again; what PostgreSQL still does for it is cancelled.

    With its engine, the pool's other connections, which are to the same server, go too, each when it would next be used.
    """
    # What SQLAlchemy does where its own execution finds a connection lost.
    close = connection.invalidate if of is None else partial(of.pool._invalidate, connection)  # noqa: SLF001
    await greenlet_spawn(close)
