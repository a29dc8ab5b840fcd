"""The checkpoints of projections, and the read model's owner.

Revision ID: 0001
"""

from migrations.sql import run_file

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every object, each from its own file."""
    for name in ("checkpoints", "roles"):
        run_file("read_model", revision, name)


def downgrade() -> None:
    """Refuse: read models are rebuilt forward, never migrated back."""
    raise RuntimeError("read models are rebuilt, not migrated back; drop the schema read_model instead")
