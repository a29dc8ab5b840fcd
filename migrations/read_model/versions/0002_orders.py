"""The read models of orders.

Revision ID: 0002
"""

from migrations.sql import run_file

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every object, each from its own file."""
    for name in ("order_summaries", "order_totals", "order_details", "order_items"):
        run_file("read_model", revision, name)


def downgrade() -> None:
    """Refuse: read models are rebuilt forward, never migrated back."""
    raise RuntimeError("read models are rebuilt, not migrated back; drop the schema read_model instead")
