"""Generations of read models, parked events, sales by day, order statistics.

Revision ID: 0003
"""

from migrations.sql import run_file

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every object, each from its own file."""
    for name in ("generations", "parked_events", "sales_by_day", "order_statistics", "order_indexes"):
        run_file("read_model", revision, name)


def downgrade() -> None:
    """Refuse: read models are rebuilt forward, never migrated back."""
    raise RuntimeError("read models are rebuilt, not migrated back; drop the schema read_model instead")
