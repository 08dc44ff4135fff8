"""Alerts, the messages about them, who evaluated them last, and an index to what failed a verification."""

import sqlalchemy as sa
from alembic import op

from services.catalog.schema import Instant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_backups_verification_passed", "backups", ["verification_passed"])
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("open_key", sa.String(200)),
        sa.Column("check", sa.String(40), nullable=False),
        sa.Column("subject_kind", sa.String(20), nullable=False),
        sa.Column("subject", sa.String(63), nullable=False),
        sa.Column("severity", sa.String(10), nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("since", Instant),
        sa.Column("opened_at", Instant, nullable=False),
        sa.Column("notified_at", Instant, nullable=False),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("well_since", Instant),
        sa.Column("acknowledged_at", Instant),
        sa.Column("acknowledged_by", sa.String(200)),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("resolved_at", Instant),
        sa.Column("resolution", sa.Text, nullable=False),
        sa.UniqueConstraint("open_key", name="uq_alerts_open_key"),
    )
    op.create_index("ix_alerts_opened_at", "alerts", ["opened_at"])
    op.create_index("ix_alerts_resolved_at", "alerts", ["resolved_at"])
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("alert_id", sa.String(40), sa.ForeignKey("alerts.id", ondelete="CASCADE")),
        sa.Column("event", sa.String(20), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("channel", sa.String(100), nullable=False),
        sa.Column("severity", sa.String(10), nullable=False),
        sa.Column("subject", sa.String(300), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", Instant),
        sa.Column("sent_at", Instant),
        sa.Column("error", sa.Text, nullable=False),
        sa.UniqueConstraint("alert_id", "number", "channel", name="uq_outbox_alert_id_number_channel"),
    )
    op.create_index("ix_outbox_next_attempt_at", "outbox", ["next_attempt_at"])
    op.create_index("ix_outbox_created_at", "outbox", ["created_at"])
    op.create_table(
        "duties",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("claimed_at", Instant, nullable=False),
        sa.Column("claimed_by", sa.String(200), nullable=False),
        sa.Column("done_at", Instant),
    )


def downgrade() -> None:
    op.drop_index("ix_backups_verification_passed", "backups")
    for table in ("duties", "outbox", "alerts"):
        op.drop_table(table)
