"""Alembic's entry into the event_store history."""

from migrations.environment import run

run("event_store")
