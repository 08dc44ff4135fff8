"""The first tables."""

import sqlalchemy as sa
from alembic import op

from services.catalog.schema import Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("database", sa.String(63)),
        sa.Column("backup_id", sa.String(40)),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("idempotency_key", sa.String(80)),
        sa.Column("queued_at", Instant, nullable=False),
        sa.Column("started_at", Instant),
        sa.Column("finished_at", Instant),
        sa.Column("heartbeat_at", Instant),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(200)),
        sa.Column("phase", sa.String(40), nullable=False),
        sa.Column("bytes_done", sa.BigInteger, nullable=False),
        sa.Column("bytes_total", sa.BigInteger),
        sa.Column("phase_started_at", Instant),
        sa.Column("expected_seconds", sa.Float),
        sa.Column("cancel_requested_at", Instant),
        sa.Column("cancel_requested_by", sa.String(200)),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("result", sa.JSON, nullable=False),
        sa.Column("leftovers", sa.JSON, nullable=False),
        sa.UniqueConstraint("idempotency_key", name="uq_runs_idempotency_key"),
    )
    op.create_index("ix_runs_state", "runs", ["state"])
    op.create_index("ix_runs_database_queued_at", "runs", ["database", "queued_at"])
    op.create_index("ix_runs_queued_at", "runs", ["queued_at"])
    op.create_table(
        "run_log",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("level", sa.String(10), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.create_index("ix_run_log_run_id_id", "run_log", ["run_id", "id"])
    op.create_table(
        "locks",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("taken_at", Instant, nullable=False),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("heartbeat_at", Instant, nullable=False),
    )
    op.create_table(
        "backups",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("run_id", sa.String(40)),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("database", sa.String(63), nullable=False),
        sa.Column("type", sa.String(12), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("finished_at", Instant, nullable=False),
        sa.Column("snapshot_at", Instant, nullable=False),
        sa.Column("database_bytes", sa.BigInteger, nullable=False),
        sa.Column("plain_bytes", sa.BigInteger, nullable=False),
        sa.Column("stored_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("plain_sha256", sa.String(64), nullable=False),
        sa.Column("format", sa.String(12), nullable=False),
        sa.Column("compression", sa.String(12), nullable=False),
        sa.Column("compression_level", sa.Integer),
        sa.Column("encryption", sa.String(12), nullable=False),
        sa.Column("recipients", sa.JSON, nullable=False),
        sa.Column("server_version", sa.String(40), nullable=False),
        sa.Column("client_version", sa.String(40), nullable=False),
        sa.Column("excluded", sa.JSON, nullable=False),
        sa.Column("pinned", sa.Boolean, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("trust", sa.String(12), nullable=False),
        sa.Column("verification_level", sa.String(12)),
        sa.Column("verification_at", Instant),
        sa.Column("verification_passed", sa.Boolean),
        sa.Column("proven_at", Instant),
        sa.Column("expired_at", Instant),
        sa.Column("adopted", sa.Boolean, nullable=False),
        sa.Column("sample", sa.Boolean, nullable=False),
        sa.UniqueConstraint("database", "name", name="uq_backups_database_name"),
    )
    op.create_index("ix_backups_database_finished_at", "backups", ["database", "finished_at"])
    op.create_index("ix_backups_finished_at", "backups", ["finished_at"])
    op.create_table(
        "copies",
        sa.Column("backup_id", sa.String(40), sa.ForeignKey("backups.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("storage", sa.String(63), primary_key=True),
        sa.Column("key", sa.String(300), nullable=False),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("storage_class", sa.String(30), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("etag", sa.String(120), nullable=False),
        sa.Column("checked_at", Instant),
    )
    op.create_index("ix_copies_storage_state", "copies", ["storage", "state"])
    op.create_table(
        "verifications",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("run_id", sa.String(40)),
        sa.Column("backup_id", sa.String(40), sa.ForeignKey("backups.id", ondelete="CASCADE"), nullable=False),
        sa.Column("database", sa.String(63), nullable=False),
        sa.Column("level", sa.String(12), nullable=False),
        sa.Column("storage", sa.String(63), nullable=False),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("finished_at", Instant, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    op.create_index("ix_verifications_backup_id", "verifications", ["backup_id"])
    op.create_index("ix_verifications_database_finished_at", "verifications", ["database", "finished_at"])


def downgrade() -> None:
    for table in ("verifications", "copies", "backups", "workers", "locks", "run_log", "runs"):
        op.drop_table(table)
