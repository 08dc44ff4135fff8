"""Indexes for the pages: what they ask costs as much with 100,000 backups as with few."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0001"
branch_labels = None
depends_on = None

_ACTIVE = "state IN ('queued', 'running')"
# The word good as far as a backup's own row tells; the terms are those of services.catalog.schema.sound().
_SOUND = (
    "state = 'finished' AND trust != 'untrusted' AND adopted IS {false} AND CAST(excluded AS TEXT) = '[]' "
    "AND (verification_passed IS NULL OR verification_passed IS {true})"
)
_PLAIN: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("ix_runs_backup_id_queued_at", "runs", ("backup_id", "queued_at")),
    ("ix_runs_kind_finished_at", "runs", ("kind", "finished_at")),
    ("ix_backups_expired_at", "backups", ("expired_at",)),
    ("ix_backups_snapshot_at_id", "backups", ("snapshot_at", "id")),
    ("ix_backups_database_snapshot_at", "backups", ("database", "snapshot_at")),
    ("ix_backups_state_snapshot_at", "backups", ("state", "snapshot_at")),
    ("ix_copies_storage_state_bytes", "copies", ("storage", "state", "bytes")),
    ("ix_copies_backup_id_state", "copies", ("backup_id", "state")),
    ("ix_verifications_finished_at_id", "verifications", ("finished_at", "id")),
    ("ix_verifications_level_database_finished_at", "verifications", ("level", "database", "finished_at")),
    ("ix_verifications_run_id", "verifications", ("run_id",)),
)


def upgrade() -> None:
    for name, table, columns in _PLAIN:
        op.create_index(name, table, list(columns))
    op.drop_index("ix_copies_storage_state", "copies")  # the beginning of ix_copies_storage_state_bytes
    op.drop_index("ix_runs_state", "runs")  # nearly all runs are finished; those that are not have ix_runs_active
    sqlite, postgresql = _SOUND.format(false="0", true="1"), _SOUND.format(false="false", true="true")
    op.create_index(
        "ix_backups_sound", "backups", ["database", "snapshot_at", "id"],
        sqlite_where=sa.text(sqlite), postgresql_where=sa.text(postgresql),
    )  # fmt: skip
    op.create_index(
        "ix_runs_active", "runs", ["queued_at"], sqlite_where=sa.text(_ACTIVE), postgresql_where=sa.text(_ACTIVE)
    )


def downgrade() -> None:
    op.drop_index("ix_runs_active", "runs")
    op.drop_index("ix_backups_sound", "backups")
    op.create_index("ix_runs_state", "runs", ["state"])
    op.create_index("ix_copies_storage_state", "copies", ["storage", "state"])
    for name, table, _ in _PLAIN:
        op.drop_index(name, table)
