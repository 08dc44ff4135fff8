"""The audit log: rows that the database itself refuses to change, to remove, or to add out of order."""

import sqlalchemy as sa
from alembic import op

from services.catalog.schema import Instant

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_SQLITE = (
    """CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
       BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    """CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
       BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    # Also what INSERT OR REPLACE would do: it fires no trigger of a deletion.
    """CREATE TRIGGER audit_log_in_order BEFORE INSERT ON audit_log
       WHEN NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM audit_log)
         OR NEW.previous <> coalesce((SELECT hash FROM audit_log ORDER BY number DESC LIMIT 1), printf('%064d', 0))
       BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
)

_POSTGRESQL = (
    """CREATE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$""",
    """CREATE FUNCTION audit_log_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
       DECLARE newest RECORD;
       BEGIN
         EXECUTE format('SELECT number, hash FROM %I.%I ORDER BY number DESC LIMIT 1', TG_TABLE_SCHEMA, TG_TABLE_NAME)
           INTO newest;
         IF NEW.number <> coalesce(newest.number, 0) + 1
            OR NEW.previous <> coalesce(newest.hash, repeat('0', 64)) THEN
           RAISE EXCEPTION 'the audit log is append-only';
         END IF;
         RETURN NEW;
       END $$""",
    """CREATE TRIGGER audit_log_no_change BEFORE UPDATE OR DELETE ON audit_log
       FOR EACH ROW EXECUTE FUNCTION audit_log_refuse()""",
    """CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log
       FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse()""",
    """CREATE TRIGGER audit_log_in_order BEFORE INSERT ON audit_log
       FOR EACH ROW EXECUTE FUNCTION audit_log_in_order()""",
)


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("actor", sa.String(300), nullable=False),
        sa.Column("origin", sa.String(300), nullable=False),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("target_kind", sa.String(20), nullable=False),
        sa.Column("target", sa.String(300), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("seal", sa.String(80), nullable=False),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at"])
    op.create_index("ix_audit_log_actor_number", "audit_log", ["actor", "number"])
    op.create_index("ix_audit_log_action_number", "audit_log", ["action", "number"])
    op.create_index("ix_audit_log_outcome_number", "audit_log", ["outcome", "number"])
    op.create_index("ix_audit_log_target_number", "audit_log", ["target", "number"])
    postgresql = op.get_context().dialect.name == "postgresql"
    for statement in _POSTGRESQL if postgresql else _SQLITE:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%") if postgresql else statement)


def downgrade() -> None:
    op.drop_table("audit_log")
    if op.get_context().dialect.name == "postgresql":
        op.execute(sa.text("DROP FUNCTION audit_log_refuse(), audit_log_in_order()"))
