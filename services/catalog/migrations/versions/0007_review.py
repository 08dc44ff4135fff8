"""Notes and action items of the weekly review, and the indexes by which a week is found among years."""

import sqlalchemy as sa
from alembic import op

from services.catalog.schema import Instant

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_runs_finished_at", "runs", ["finished_at"])
    op.create_table(
        "review_notes",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("week", sa.String(8), nullable=False),
        sa.Column("database", sa.String(63)),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("idempotency_key", sa.String(80)),
        sa.UniqueConstraint("idempotency_key", name="uq_review_notes_idempotency_key"),
    )
    op.create_index("ix_review_notes_week", "review_notes", ["week"])
    op.create_table(
        "action_items",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("week", sa.String(8), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("due", sa.Date),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("done_at", Instant),
        sa.Column("done_by", sa.String(200)),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.String(80)),
        sa.UniqueConstraint("idempotency_key", name="uq_action_items_idempotency_key"),
    )
    op.create_index("ix_action_items_done_at", "action_items", ["done_at"])


def downgrade() -> None:
    op.drop_table("action_items")
    op.drop_table("review_notes")
    op.drop_index("ix_runs_finished_at", "runs")
