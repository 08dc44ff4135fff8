"""Copies in storages that the settings do not name: found by an index that is empty as a rule."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    unknown = sa.text("state = 'unknown'")
    op.create_index(
        "ix_copies_unknown", "copies", ["backup_id", "storage"], sqlite_where=unknown, postgresql_where=unknown
    )


def downgrade() -> None:
    op.drop_index("ix_copies_unknown", "copies")
    op.execute("UPDATE copies SET state = 'stored' WHERE state = 'unknown'")
