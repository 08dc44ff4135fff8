"""Read-only modes of emergency backups: written before anything is switched, so that whatever dies, somebody knows."""

import sqlalchemy as sa
from alembic import op

from services.catalog.schema import Instant

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "read_only_modes",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("database", sa.String(63), nullable=False),
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("process", sa.String(200), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("began_at", Instant, nullable=False),
        sa.Column("release_by", Instant, nullable=False),
        sa.Column("previous", sa.Text),
        sa.Column("already_read_only", sa.Boolean, nullable=False),
        sa.Column("sql_step", sa.Boolean, nullable=False),
        sa.Column("command_step", sa.Boolean, nullable=False),
        sa.Column("released_at", Instant),
        sa.Column("released_by", sa.String(200), nullable=False),
        sa.Column("last_error", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("attempted_at", Instant),
    )
    op.create_index("ix_read_only_modes_released_at", "read_only_modes", ["released_at"])
    op.create_index("ix_read_only_modes_run_id", "read_only_modes", ["run_id"])


def downgrade() -> None:
    op.drop_table("read_only_modes")
