"""How far each database's write-ahead log has come, and how much of it is in the archive, minute by minute."""

import sqlalchemy as sa
from alembic import op

from services.catalog.schema import Instant

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "wal_samples",
        sa.Column("database", sa.String(63), primary_key=True),
        sa.Column("at", Instant, primary_key=True),
        sa.Column("current_lsn", sa.BigInteger),
        sa.Column("archived_lsn", sa.BigInteger),
        sa.Column("archived_at", Instant),
        sa.Column("lag_bytes", sa.BigInteger),
        sa.Column("slot_lag_bytes", sa.BigInteger),
        sa.Column("missing", sa.Integer, nullable=False),
        sa.Column("first_missing", sa.String(40), nullable=False),
        sa.Column("last_missing", sa.String(40), nullable=False),
        sa.Column("error", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("wal_samples")
