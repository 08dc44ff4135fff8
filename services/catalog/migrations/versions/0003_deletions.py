"""What was deleted, by whom and why; who pinned what; which copies could not be deleted."""

import sqlalchemy as sa
from alembic import op

from services.catalog.schema import Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("copies", sa.Column("deletion_error", sa.Text, nullable=False, server_default=""))
    op.add_column("copies", sa.Column("deletion_failed_at", Instant))
    failed = sa.text("deletion_failed_at IS NOT NULL")
    op.create_index("ix_copies_deletion_failed", "copies", ["backup_id"], sqlite_where=failed, postgresql_where=failed)
    op.create_table(
        "pins",
        sa.Column("backup_id", sa.String(40), sa.ForeignKey("backups.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("pinned", sa.Boolean, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("stored", sa.Boolean, nullable=False),
    )
    op.create_index("ix_pins_stored", "pins", ["stored"])
    op.create_table(
        "deletions",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("run_id", sa.String(40)),
        sa.Column("backup_id", sa.String(40), nullable=False),
        sa.Column("backup_name", sa.String(120), nullable=False),
        sa.Column("database", sa.String(63), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("ended_at", Instant),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("storage", sa.String(63), nullable=False),
        sa.Column("key", sa.String(300), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(40), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("error", sa.Text, nullable=False),
    )
    op.create_index("ix_deletions_backup_id", "deletions", ["backup_id"])
    op.create_index("ix_deletions_at", "deletions", ["at"])
    op.create_index("ix_deletions_database_at", "deletions", ["database", "at"])


def downgrade() -> None:
    op.drop_table("deletions")
    op.drop_table("pins")
    op.drop_index("ix_copies_deletion_failed", "copies")
    op.drop_column("copies", "deletion_failed_at")
    op.drop_column("copies", "deletion_error")
