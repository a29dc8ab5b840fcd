"""Partitions of projections, and leases on them.

Revision ID: 0004
"""

from migrations.sql import run_file

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create or change every object, each from its own file."""
    for name in ("partitions", "leases", "order_statistics"):
        run_file("read_model", revision, name)


def downgrade() -> None:
    """Take partitions back, unless a projection is divided; no read model's rows are touched."""
    for name in ("whole", "order_statistics_before"):
        run_file("read_model", revision, name)
