"""Engines, and the one place where driver errors become Daicho's."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import asyncpg
from sqlalchemy import Executable, Row, event
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.connecting import connect
from shared.database_url import database_url
from shared.errors import DatabaseUnavailable, Overloaded
from shared.fair_pool import FairPool

AnyRow = Row[*tuple[Any, ...]]

_OF_THE_CLIENT = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)

DRIVER_ERRORS = (DBAPIError, asyncpg.PostgresError, *_OF_THE_CLIENT)
"""All that a statement, or connecting, can raise: SQLAlchemy's errors, and the driver's where SQLAlchemy leaves them bare."""

_READ_ONLY = "25006"
"""SQLSTATE of a write to a standby: to what was the primary, before a failover."""

_UNAVAILABLE = ("08", "53", "57P", _READ_ONLY)
"""SQLSTATE prefixes: connection lost, resources exhausted, shut down or starting up; and a standby."""

_NOT_NOW = ("40", "55", "57")
"""SQLSTATE prefixes: a transaction that lost against another, a lock that is held, a statement that was cancelled."""

_CONNECT_TIMEOUT = 5.0
_STATEMENT_TIMEOUT = 30.0
_ANSWER_SECONDS = 1.0
"""How much longer than PostgreSQL itself the driver waits for a statement: PostgreSQL's word is certain, silence is not."""
_IDLE_SECONDS = 60.0
_IDLE_SECONDS_IN_LONG_WORK = 600.0
_POOL_TIMEOUT = 5.0


def create_engine(
    url: str,
    *,
    application_name: str,
    pool_size: int,
    autocommit: bool = True,
    statement_timeout: float | None = _STATEMENT_TIMEOUT,
    server_settings: Mapping[str, str] | None = None,
) -> AsyncEngine:
    """Make an engine; it connects at first use. `statement_timeout` is in seconds; None: no limit.

    Where the URL has several hosts, it connects to the one that takes writes, and leaves it when it no longer does.
    With `autocommit` each statement is a transaction of its own at READ COMMITTED, with no round trips
    for BEGIN and ROLLBACK. PostgreSQL itself ends a statement that takes too long, that nobody waits for any more, and a
    transaction that is left open, so that no client, however stuck, holds what others need.
    """
    protecting = {
        "client_connection_check_interval": "1s",
        "idle_in_transaction_session_timeout": milliseconds(
            _IDLE_SECONDS if statement_timeout else _IDLE_SECONDS_IN_LONG_WORK
        ),
        "statement_timeout": milliseconds(statement_timeout or 0),
    }
    read = database_url(url)
    engine = create_async_engine(
        read,
        poolclass=FairPool,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
        pool_timeout=_POOL_TIMEOUT,
        isolation_level="AUTOCOMMIT" if autocommit else "READ COMMITTED",
        connect_args={
            "timeout": _CONNECT_TIMEOUT,
            "command_timeout": statement_timeout and statement_timeout + _ANSWER_SECONDS,
            "server_settings": {
                "application_name": application_name,
                "jit": "off",
                **protecting,
                **(server_settings or {}),
            },
            **({"async_creator_fn": connect} if "target_session_attrs" in read.query else {}),
        },
    )
    event.listen(engine.sync_engine, "handle_error", _leave_a_standby)
    return engine


def _leave_a_standby(context: ExceptionContext) -> None:
    """Have all of the pool's connections replaced, not only this one."""
    context.is_disconnect |= sqlstate(context.original_exception) == _READ_ONLY


def milliseconds(seconds: float) -> str:
    """Write a duration as PostgreSQL's settings take it."""
    return f"{seconds * 1000:.0f}ms"


def sqlstate(error: BaseException) -> str:
    """Give the five-character code that PostgreSQL put on an error, or an empty string."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(origin, "sqlstate", None) or "")


def is_connection_failure(error: BaseException) -> bool:
    """Tell whether the database was away, as opposed to having refused the statement."""
    # An error without a statement comes from connecting.
    if isinstance(error, DBAPIError) and (error.connection_invalidated or error.statement is None):
        return True
    if isinstance(error, (*_OF_THE_CLIENT, PoolTimeoutError)):
        return True
    return sqlstate(error).startswith(_UNAVAILABLE)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn the driver's connection errors into `DatabaseUnavailable`; an exhausted pool into `Overloaded`."""
    try:
        yield
    except PoolTimeoutError as error:
        raise Overloaded("every database connection is in use") from error
    except DRIVER_ERRORS as error:
        if is_connection_failure(error):
            raise DatabaseUnavailable("the database cannot be reached") from error
        if sqlstate(error).startswith(_NOT_NOW):
            raise DatabaseUnavailable("the database cannot do that now") from error
        raise


async def fetch_all(
    engine: AsyncEngine, query: Executable, parameters: Mapping[str, object] | None = None
) -> Sequence[AnyRow]:
    """Run one read-only statement; again, once, if its pooled connection was broken or from before a migration.

    Raises `DatabaseUnavailable` and `Overloaded`.
    """
    with translate_errors():
        try:
            return await _fetch_all(engine, query, parameters)
        except DBAPIError as error:
            if not is_connection_failure(error) and not _is_from_before_a_migration(error):
                raise
        return await _fetch_all(engine, query, parameters)


def _is_from_before_a_migration(error: DBAPIError) -> bool:
    """Tell whether a cached plan is of other columns than the tables have now; SQLAlchemy has then dropped it."""
    return isinstance(error.orig, AsyncAdapt_asyncpg_dbapi.InvalidCachedStatementError)


async def _fetch_all(
    engine: AsyncEngine, query: Executable, parameters: Mapping[str, object] | None
) -> Sequence[AnyRow]:
    async with engine.connect() as connection:
        return (await connection.execute(query, parameters)).all()
