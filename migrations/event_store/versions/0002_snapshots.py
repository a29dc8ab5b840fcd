"""Snapshots, the locators of seals, and the index on correlation ids.

Revision ID: 0002
"""

from migrations.sql import run_file

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create or change every object, each from its own file."""
    for name in ("snapshots", "seals", "events", "append"):
        run_file("event_store", revision, name)


def downgrade() -> None:
    """Refuse: a migration never takes anything from the log."""
    raise RuntimeError("the event log is not migrated back; restore a backup made before instead")
