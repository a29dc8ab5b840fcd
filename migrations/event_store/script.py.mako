"""${message}

Revision ID: ${up_revision}
"""

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Apply."""
    ${upgrades if upgrades else "raise RuntimeError('empty migration')"}


def downgrade() -> None:
    """Revert."""
    ${downgrades if downgrades else "raise RuntimeError('this migration is not reverted')"}
