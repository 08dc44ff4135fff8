"""How many segments are missing is not known where the archive could not be listed."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("wal_samples") as table:
        table.alter_column("missing", existing_type=sa.Integer, nullable=True)


def downgrade() -> None:
    op.execute(sa.text("UPDATE wal_samples SET missing = 0 WHERE missing IS NULL"))
    with op.batch_alter_table("wal_samples") as table:
        table.alter_column("missing", existing_type=sa.Integer, nullable=False)
