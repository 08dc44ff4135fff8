"""Which queues a worker serves."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("queues", sa.String(2000), nullable=False, server_default="default"))


def downgrade() -> None:
    op.drop_column("workers", "queues")
