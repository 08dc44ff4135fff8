"""Further copies that are tried again, and thaws from cold storage."""

import sqlalchemy as sa
from alembic import op

from services.catalog.schema import Instant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("error", sa.Text, nullable=False, server_default=""),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_attempt_at", Instant),
        sa.Column("thaw_requested_at", Instant),
        sa.Column("thaw_tier", sa.String(12), nullable=False, server_default=""),
        sa.Column("thawed_at", Instant),
        sa.Column("thawed_until", Instant),
    ):
        op.add_column("copies", column)
    op.create_index("ix_backups_expired_at", "backups", ["expired_at"])


def downgrade() -> None:
    op.drop_index("ix_backups_expired_at", "backups")
    for name in (
        "thawed_until", "thawed_at", "thaw_tier", "thaw_requested_at", "next_attempt_at", "attempts", "error",
    ):  # fmt: skip
        op.drop_column("copies", name)
