"""Partitions of projections, and leases on them.

Revision ID: 0005
"""

from migrations.sql import run_file

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create or change every object, each from its own file; what every read waits for comes last."""
    for name in ("order_statistics", "leases", "partitions"):
        run_file("read_model", revision, name)


def downgrade() -> None:
    """Take partitions back, unless a projection is divided; no read model's rows are touched."""
    for name in ("whole", "order_statistics_before"):
        run_file("read_model", revision, name)
