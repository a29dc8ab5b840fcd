"""The event log: events, seals, the append function, guards and roles.

Revision ID: 0001
"""

from migrations.sql import run_file

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every object of the log, each from its own file."""
    for name in ("events", "seals", "canonical_form", "append", "guards", "roles"):
        run_file("event_store", revision, name)


def downgrade() -> None:
    """Refuse: a migration never removes the log."""
    raise RuntimeError("a migration never removes the event log; drop the database instead")
