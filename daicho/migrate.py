"""Brings the schemas to their heads."""

import asyncpg
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from daicho.errors import MigrationFailed
from daicho.ledger import opened
from daicho.login_roles import let_in, let_in_queries
from daicho.settings import OperatorSettings
from shared.database import create_engine, translate_errors
from shared.schema import EVENT_STORE, READ_MODEL, SchemaHistory

_LOCK = 7234081526115
"""Advisory lock that makes concurrent migrations take turns."""


async def run_migrate(settings: OperatorSettings) -> None:
    """Bring the ledger's schemas to their heads, and let the services' roles in.

    Where events come from elsewhere, there is the read model alone. Raises as `migrate` and `opened`.
    """
    async with opened(settings, create=True) as ledger:
        if settings.event_source is not None:
            await migrate_read_model(ledger.read_url)
            await let_in_queries(settings, ledger.read_url)
            return
        await migrate(ledger.log_url, ledger.read_url)
        await let_in(settings, ledger.log_url, ledger.read_url)


async def migrate(database_url: str, read_database_url: str) -> None:
    """Upgrade the event store, then the read model, each in one transaction.

    Raises `DatabaseUnavailable` and `MigrationFailed`.
    """
    await _upgrade(EVENT_STORE, database_url)
    await migrate_read_model(read_database_url)


async def migrate_read_model(url: str) -> None:
    """Upgrade the read model, as `migrate` does."""
    await _upgrade(READ_MODEL, url)


async def _upgrade(history: SchemaHistory, url: str) -> None:
    # An index on a large log takes its time.
    engine = create_engine(
        url, application_name="daicho-migrate", pool_size=1, autocommit=False, statement_timeout=None
    )
    try:
        with translate_errors():
            async with engine.begin() as connection:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                await connection.run_sync(_run_alembic, history)
    except (DBAPIError, asyncpg.PostgresError) as error:
        raise MigrationFailed(history.name, getattr(error, "orig", error)) from error
    finally:
        await engine.dispose()


def _run_alembic(connection: Connection, history: SchemaHistory) -> None:
    config = history.config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
