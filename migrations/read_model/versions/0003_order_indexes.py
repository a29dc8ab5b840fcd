"""The indexes that lists of orders are read from.

Revision ID: 0003
"""

from migrations.sql import run_file

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every object, each from its own file."""
    run_file("read_model", revision, "order_indexes")


def downgrade() -> None:
    """Refuse: read models are rebuilt forward, never migrated back."""
    raise RuntimeError("read models are rebuilt, not migrated back; drop the schema read_model instead")
