"""Commits and snapshots name the stream's last event.

Revision ID: 0003
"""

from migrations.sql import run_file

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create or change every object, each from its own file."""
    for name in ("snapshots", "append"):
        run_file("event_store", revision, name)


def downgrade() -> None:
    """Refuse: a migration never takes anything from the log."""
    raise RuntimeError("the event log is not migrated back; restore a backup made before instead")
