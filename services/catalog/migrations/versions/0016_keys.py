"""Locks of copies, drills of keys, and what waits for a second person."""

import sqlalchemy as sa
from alembic import op

from services.catalog.schema import Instant

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("copies", sa.Column("lock_mode", sa.String(12), nullable=False, server_default=""))
    op.add_column("copies", sa.Column("locked_until", Instant))
    op.create_table(
        "key_drills",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("at", Instant, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("public_key", sa.String(120), nullable=False),
        sa.Column("backup_id", sa.String(40)),
        sa.Column("backup_name", sa.String(120), nullable=False),
        sa.Column("storage", sa.String(63), nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("ix_key_drills_public_key_at", "key_drills", ["public_key", "at"])
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("rule", sa.String(12), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("database", sa.String(63)),
        sa.Column("backup_id", sa.String(40)),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("asked_by", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("asked_at", Instant, nullable=False),
        sa.Column("expires_at", Instant, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("decided_by", sa.String(200), nullable=False),
        sa.Column("decided_at", Instant),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("run_id", sa.String(40)),
        sa.Column("idempotency_key", sa.String(80), unique=True),
    )
    op.create_index("ix_approvals_state_asked_at", "approvals", ["state", "asked_at"])
    op.create_index("ix_approvals_run_id", "approvals", ["run_id"])


def downgrade() -> None:
    op.drop_table("approvals")
    op.drop_table("key_drills")
    with op.batch_alter_table("copies") as table:
        table.drop_column("locked_until")
        table.drop_column("lock_mode")
