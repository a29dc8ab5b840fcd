"""The append function keeps its plans.

Revision ID: 0004
"""

from migrations.sql import run_file

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the function's settings."""
    run_file("event_store", revision, "append")


def downgrade() -> None:
    """Refuse: a migration never takes anything from the log."""
    raise RuntimeError("the event log is not migrated back; restore a backup made before instead")
