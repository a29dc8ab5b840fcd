"""Alembic's entry into the read_model history."""

from migrations.environment import run

run("read_model")
