"""People and their roles."""

import sqlalchemy as sa
from alembic import op

from services.catalog.schema import Instant

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "people",
        sa.Column("identity", sa.String(200), primary_key=True),
        sa.Column("subject", sa.String(500), unique=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("role", sa.String(12)),
        sa.Column("source", sa.String(12), nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("changed_at", Instant, nullable=False),
        sa.Column("changed_by", sa.String(200), nullable=False),
        sa.Column("last_seen_at", Instant),
        sa.Column("signed_out_at", Instant),
    )


def downgrade() -> None:
    op.drop_table("people")
