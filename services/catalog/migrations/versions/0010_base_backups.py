"""Base backups: what recovery needs to know of one; none is ever a good logical backup."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# The terms of services.catalog.schema.sound(), with and without the one about base backups.
_SOUND = (
    "state = 'finished' AND trust != 'untrusted' AND adopted IS {false} {base}AND CAST(excluded AS TEXT) = '[]' "
    "AND (verification_passed IS NULL OR verification_passed IS {true})"
)


def upgrade() -> None:
    op.add_column("backups", sa.Column("physical", sa.JSON(none_as_null=True)))
    _index("AND type != 'base' ")


def downgrade() -> None:
    _index("")
    op.drop_column("backups", "physical")


def _index(base: str) -> None:
    op.drop_index("ix_backups_sound", "backups")
    op.create_index(
        "ix_backups_sound", "backups", ["database", "snapshot_at", "id"],
        sqlite_where=sa.text(_SOUND.format(false="0", true="1", base=base)),
        postgresql_where=sa.text(_SOUND.format(false="false", true="true", base=base)),
    )  # fmt: skip
