"""What each storage holds of a database's write-ahead log, what of it was found damaged, and its size by day."""

import sqlalchemy as sa
from alembic import op

from services.catalog.schema import Instant

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "wal_archives",
        sa.Column("database", sa.String(63), primary_key=True),
        sa.Column("storage", sa.String(63), primary_key=True),
        sa.Column("listed_at", Instant),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("faults", sa.JSON, nullable=False),
        sa.Column("damaged", sa.JSON, nullable=False),
        sa.Column("checked_at", Instant),
        sa.Column("checked_key", sa.String(300), nullable=False),
        sa.Column("round_began_at", Instant),
        sa.Column("round_ended_at", Instant),
        sa.Column("check_error", sa.Text, nullable=False),
    )
    op.create_table(
        "wal_levels",
        sa.Column("database", sa.String(63), primary_key=True),
        sa.Column("storage", sa.String(63), primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("wal_levels")
    op.drop_table("wal_archives")
