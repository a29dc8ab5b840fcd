"""The schema tells which releases it serves.

Revision ID: 0005
"""

from alembic import op

from migrations.sql import run_file

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the function that tells."""
    run_file("event_store", revision, "serves_from")


def downgrade() -> None:
    """Have the schema tell nothing again, as before."""
    op.execute("DROP FUNCTION event_store.serves_from")
