"""The catalogue's tables. Changed only together with a migration (``services/catalog/migrations``)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware UTC instant. Refuses a naive one. SQLite has no zones: it holds UTC text that sorts by time."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.String(32))
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant without a time zone cannot be stored")
        value = value.astimezone(UTC)
        if dialect.name == "sqlite":
            return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, str):
            return datetime.fromisoformat(value)  # thirty times as fast as strptime, which is felt in a list of 500
        result: datetime = value.astimezone(UTC)
        return result


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("database", sa.String(63)),
    sa.Column("backup_id", sa.String(40)),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("params", sa.JSON, nullable=False),
    sa.Column("idempotency_key", sa.String(80), unique=True),
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
    sa.Index("ix_runs_database_queued_at", "database", "queued_at"),
    sa.Index("ix_runs_queued_at", "queued_at"),
    sa.Index("ix_runs_finished_at", "finished_at"),
)

run_log = sa.Table(
    "run_log",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("level", sa.String(10), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Index("ix_run_log_run_id_id", "run_id", "id"),
)

locks = sa.Table(
    "locks",
    metadata,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("run_id", sa.String(40), nullable=False),
    sa.Column("taken_at", Instant, nullable=False),
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("version", sa.String(40), nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("heartbeat_at", Instant, nullable=False),
    sa.Column("queues", sa.String(2000), nullable=False, server_default="default"),  # separated by spaces
)

backups = sa.Table(
    "backups",
    metadata,
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
    sa.Column("physical", sa.JSON(none_as_null=True)),
    sa.UniqueConstraint("database", "name"),
    sa.Index("ix_backups_database_finished_at", "database", "finished_at"),
    sa.Index("ix_backups_finished_at", "finished_at"),
    sa.Index("ix_backups_verification_passed", "verification_passed"),
    sa.Index("ix_backups_expired_at", "expired_at"),
)

copies = sa.Table(
    "copies",
    metadata,
    sa.Column("backup_id", sa.String(40), sa.ForeignKey("backups.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("storage", sa.String(63), primary_key=True),
    sa.Column("key", sa.String(300), nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("storage_class", sa.String(30), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("etag", sa.String(120), nullable=False),
    sa.Column("checked_at", Instant),
    sa.Column("error", sa.Text, nullable=False, server_default=""),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_attempt_at", Instant),
    sa.Column("thaw_requested_at", Instant),
    sa.Column("thaw_tier", sa.String(12), nullable=False, server_default=""),
    sa.Column("thawed_at", Instant),
    sa.Column("thawed_until", Instant),
    sa.Column("deletion_error", sa.Text, nullable=False, server_default=""),
    sa.Column("deletion_failed_at", Instant),
    sa.Column("lock_mode", sa.String(12), nullable=False, server_default=""),
    sa.Column("locked_until", Instant),
    sa.Index(
        "ix_copies_deletion_failed",
        "backup_id",
        sqlite_where=sa.text("deletion_failed_at IS NOT NULL"),
        postgresql_where=sa.text("deletion_failed_at IS NOT NULL"),
    ),
    sa.Index("ix_copies_storage_state_bytes", "storage", "state", "bytes"),
    sa.Index("ix_copies_backup_id_state", "backup_id", "state"),
)

verifications = sa.Table(
    "verifications",
    metadata,
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
    sa.Index("ix_verifications_backup_id", "backup_id"),
    sa.Index("ix_verifications_database_finished_at", "database", "finished_at"),
)

pins = sa.Table(
    "pins",
    metadata,
    sa.Column("backup_id", sa.String(40), sa.ForeignKey("backups.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("pinned", sa.Boolean, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("stored", sa.Boolean, nullable=False),
    sa.Index("ix_pins_stored", "stored"),
)

deletions = sa.Table(
    "deletions",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("run_id", sa.String(40)),
    sa.Column("backup_id", sa.String(40), nullable=False),
    sa.Column("backup_name", sa.String(120), nullable=False),
    sa.Column("database", sa.String(63), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("storage", sa.String(63), nullable=False),
    sa.Column("key", sa.String(300), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String(40), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("outcome", sa.String(12), nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Index("ix_deletions_backup_id", "backup_id"),
    sa.Index("ix_deletions_at", "at"),
    sa.Index("ix_deletions_database_at", "database", "at"),
)

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("schedule", sa.String(80), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("database", sa.String(63)),
    sa.Column("job", sa.String(20), nullable=False),
    sa.Column("cron", sa.String(100), nullable=False),
    sa.Column("time_zone", sa.String(60), nullable=False),
    sa.Column("deadline_seconds", sa.Integer, nullable=False),
    sa.Column("params", sa.JSON, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("valid_from", Instant, nullable=False),
    sa.Column("source", sa.String(10), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("defined", sa.JSON(none_as_null=True)),
)
"""Versions, which are only ever added: a slot of the past is judged by the one that was valid then."""
alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("key", sa.String(200), nullable=False),
    # The key while the alert is open, then NULL: two evaluations at once cannot open the same alert twice.
    sa.Column("open_key", sa.String(200), unique=True),
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
    sa.Index("ix_alerts_opened_at", "opened_at"),
    sa.Index("ix_alerts_resolved_at", "resolved_at"),
)

outbox = sa.Table(
    "outbox",
    metadata,
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
    # None once it is sent or given up: what waits is found by an index that stays small.
    sa.Column("next_attempt_at", Instant),
    sa.Column("sent_at", Instant),
    sa.Column("error", sa.Text, nullable=False),
    sa.UniqueConstraint("alert_id", "number", "channel"),
    sa.Index("ix_outbox_next_attempt_at", "next_attempt_at"),
    sa.Index("ix_outbox_created_at", "created_at"),
    sa.Index("ix_outbox_sent_at", "sent_at"),
)

duties = sa.Table(
    "duties",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("claimed_at", Instant, nullable=False),
    sa.Column("claimed_by", sa.String(200), nullable=False),
    sa.Column("done_at", Instant),
)

review_notes = sa.Table(
    "review_notes",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    # Versions are only ever added; one without text withdraws the note.
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("week", sa.String(8), nullable=False),
    sa.Column("database", sa.String(63)),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("author", sa.String(200), nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("idempotency_key", sa.String(80), unique=True),
    sa.Index("ix_review_notes_week", "week"),
)

action_items = sa.Table(
    "action_items",
    metadata,
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
    sa.Column("idempotency_key", sa.String(80), unique=True),
    sa.Index("ix_action_items_done_at", "done_at"),
)

wal_samples = sa.Table(
    "wal_samples",
    metadata,
    sa.Column("database", sa.String(63), primary_key=True),
    sa.Column("at", Instant, primary_key=True),
    sa.Column("current_lsn", sa.BigInteger),
    sa.Column("archived_lsn", sa.BigInteger),
    sa.Column("archived_at", Instant),
    sa.Column("lag_bytes", sa.BigInteger),
    sa.Column("slot_lag_bytes", sa.BigInteger),
    sa.Column("missing", sa.Integer),
    sa.Column("first_missing", sa.String(40), nullable=False),
    sa.Column("last_missing", sa.String(40), nullable=False),
    sa.Column("error", sa.Text, nullable=False),
)
wal_archives = sa.Table(
    "wal_archives",
    metadata,
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
wal_levels = sa.Table(
    "wal_levels",
    metadata,
    sa.Column("database", sa.String(63), primary_key=True),
    sa.Column("storage", sa.String(63), primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)
read_only_modes = sa.Table(
    "read_only_modes",
    metadata,
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
    sa.Index("ix_read_only_modes_released_at", "released_at"),
    sa.Index("ix_read_only_modes_run_id", "run_id"),
)
key_drills = sa.Table(
    "key_drills",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("public_key", sa.String(120), nullable=False),
    sa.Column("backup_id", sa.String(40)),
    sa.Column("backup_name", sa.String(120), nullable=False),
    sa.Column("storage", sa.String(63), nullable=False),
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index("ix_key_drills_public_key_at", "public_key", "at"),
)
approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("rule", sa.String(12), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("database", sa.String(63)),
    sa.Column("backup_id", sa.String(40)),
    sa.Column("params", sa.JSON, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("asked_by", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("asked_at", Instant, nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("decided_by", sa.String(200), nullable=False),
    sa.Column("decided_at", Instant),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("run_id", sa.String(40)),
    sa.Column("idempotency_key", sa.String(80), unique=True),
    sa.Index("ix_approvals_state_asked_at", "state", "asked_at"),
    sa.Index("ix_approvals_run_id", "run_id"),
)
audit_log = sa.Table(
    "audit_log",
    metadata,
    # Triggers (migration 0014) refuse to change or remove a row, and to add one out of order.
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", sa.String(300), nullable=False),
    sa.Column("origin", sa.String(300), nullable=False),
    sa.Column("action", sa.String(60), nullable=False),
    sa.Column("target_kind", sa.String(20), nullable=False),
    sa.Column("target", sa.String(300), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("outcome", sa.String(12), nullable=False),
    # JSON as text: what was hashed, to the character.
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("seal", sa.String(80), nullable=False),
    sa.Index("ix_audit_log_at", "at"),
    sa.Index("ix_audit_log_actor_number", "actor", "number"),
    sa.Index("ix_audit_log_action_number", "action", "number"),
    sa.Index("ix_audit_log_outcome_number", "outcome", "number"),
    sa.Index("ix_audit_log_target_number", "target", "number"),
)
people = sa.Table(
    "people",
    metadata,
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
# -- for the pages: what they ask costs as much with 100,000 backups as with few --------------------------------------


def active() -> sa.ColumnElement[bool]:
    """Say of a run that it is queued or running."""
    return runs.c.state.in_([sa.literal_column("'queued'"), sa.literal_column("'running'")])


def refused() -> sa.ColumnElement[bool]:
    """Say of a run that it was refused to the person who asked for it (``services.jobs.execute``)."""
    return sa.func.coalesce(runs.c.result["refused"].as_boolean(), sa.false())


def sound(state: str = "finished") -> sa.ColumnElement[bool]:
    """Say of a backup that it is good as far as its own row tells: *good* wants a stored copy besides.

    Written with literals: a planner uses a partial index only where it sees its very terms in the query.
    """
    return sa.and_(
        backups.c.state == sa.literal_column(f"'{state}'"),
        backups.c.trust != sa.literal_column("'untrusted'"),
        backups.c.adopted.is_(False),
        backups.c.type != sa.literal_column("'base'"),
        sa.cast(backups.c.excluded, sa.Text) == sa.literal_column("'[]'"),
        sa.or_(backups.c.verification_passed.is_(None), backups.c.verification_passed.is_(True)),
    )


def unknown(of: sa.FromClause) -> sa.ColumnElement[bool]:
    """Say of a copy that its storage is none of the settings: see ``services.catalog.unnamed``."""
    return of.c.state == sa.literal_column("'unknown'")


sa.Index("ix_runs_active", runs.c.queued_at, sqlite_where=active(), postgresql_where=active())
sa.Index("ix_runs_backup_id_queued_at", runs.c.backup_id, runs.c.queued_at)
sa.Index("ix_runs_kind_finished_at", runs.c.kind, runs.c.finished_at)
sa.Index("ix_backups_snapshot_at_id", backups.c.snapshot_at, backups.c.id)
sa.Index("ix_backups_database_snapshot_at", backups.c.database, backups.c.snapshot_at)
sa.Index("ix_backups_state_snapshot_at", backups.c.state, backups.c.snapshot_at)
sa.Index(
    "ix_backups_sound", backups.c.database, backups.c.snapshot_at, backups.c.id,
    sqlite_where=sound(), postgresql_where=sound(),
)  # fmt: skip
sa.Index(
    "ix_copies_unknown", copies.c.backup_id, copies.c.storage,
    sqlite_where=unknown(copies), postgresql_where=unknown(copies),
)  # fmt: skip
sa.Index("ix_verifications_finished_at_id", verifications.c.finished_at, verifications.c.id)
sa.Index(
    "ix_verifications_level_database_finished_at",
    verifications.c.level, verifications.c.database, verifications.c.finished_at,
)  # fmt: skip
sa.Index("ix_verifications_run_id", verifications.c.run_id)
