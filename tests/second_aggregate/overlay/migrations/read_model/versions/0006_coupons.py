"""The read model of coupons.

Revision ID: 0006
"""

from migrations.sql import run_file

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    run_file("read_model", revision, "coupons")


def downgrade() -> None:
    """Refuse: read models are rebuilt forward, never migrated back."""
    raise RuntimeError("read models are rebuilt, not migrated back")
