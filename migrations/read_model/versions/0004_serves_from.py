"""The schema tells which releases it serves.

Revision ID: 0004
"""

from alembic import op

from migrations.sql import run_file

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the function that tells."""
    run_file("read_model", revision, "serves_from")


def downgrade() -> None:
    """Have the schema tell nothing again, as before."""
    op.execute("DROP FUNCTION read_model.serves_from")
