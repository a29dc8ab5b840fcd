"""What both histories' env.py do: run on the connection that the caller holds, in the history's own schema."""

from alembic import context
from sqlalchemy import text


def run(schema: str) -> None:
    """Run the migrations of one history; its version table lives in its schema."""
    connection = context.config.attributes.get("connection")
    if connection is None:
        raise RuntimeError("run `daicho migrate`: it holds the connection and the lock that a migration needs")
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    context.configure(connection=connection, version_table_schema=schema, transactional_ddl=True)
    context.run_migrations()
