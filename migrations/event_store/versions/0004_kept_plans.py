"""The append function keeps its plans.

Revision ID: 0004
"""

from alembic import op

from migrations.sql import run_file

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the function's settings."""
    run_file("event_store", revision, "append")


def downgrade() -> None:
    """Have the function planned anew again, as before; nothing of the log is touched."""
    op.execute("ALTER FUNCTION event_store.append SET plan_cache_mode = force_custom_plan")
    op.execute("ALTER FUNCTION event_store.append RESET enable_seqscan")
