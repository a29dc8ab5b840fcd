"""Where commits wait for standbys: none is acknowledged that may yet be lost with the primary."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg
from sqlalchemy.pool import PoolProxiedConnection

from shared.database import DRIVER_ERRORS
from shared.driver import close_for_good
from shared.errors import OutcomeUnknown

Driver = asyncpg.Connection
"""What SQLAlchemy's connections are made of."""

_GAVE_UP = "SyncRepWaitForLSN"
"""The function of PostgreSQL that warns of it; its words are in the server's language."""

HEARING: Final = {"client_min_messages": "warning"}
"""PostgreSQL's settings for connections that append: whatever the role's own are, they hear of it."""

_WRITE_NOTHING = "SELECT pg_logical_emit_message(true, 'daicho', '')"
"""A transaction that leaves a trace in the WAL: its commit waits for that, and so for all before it."""


@contextmanager
def replicated(connection: PoolProxiedConnection) -> Iterator[Driver]:
    """Give the driver's connection; raise `OutcomeUnknown` if a commit was told of, though its wait for a standby was cancelled."""
    driver = connection.driver_connection
    assert driver is not None
    warned = False

    def hear(_: object, message: asyncpg.PostgresLogMessage) -> None:
        nonlocal warned
        warned = warned or getattr(message, "server_source_function", None) == _GAVE_UP

    driver.add_log_listener(hear)
    try:
        yield driver
    finally:
        driver.remove_log_listener(hear)
    if warned:
        raise OutcomeUnknown


async def settle(connection: PoolProxiedConnection) -> None:
    """Return when all that was committed before is kept as safely as an append that was answered.

    Raises `OutcomeUnknown`.
    """
    try:
        with replicated(connection) as driver:
            await driver.execute(_WRITE_NOTHING)
    except DRIVER_ERRORS as error:
        await close_for_good(connection)
        raise OutcomeUnknown from error
