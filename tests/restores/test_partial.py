"""Partial backups by schema, and tables of one name in two schemas: what is healthy is restored and compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from services.catalog.model import Backup
from services.postgres.connection import Address, connect
from services.postgres.fingerprint import take_fingerprint
from services.postgres.patterns import match_tables
from services.postgres.server import LocalServer
from services.restores.compare import compare_fingerprints
from services.restores.report import RestoreReport
from services.restores.restore import restore_backup
from tests.restores.conftest import NewLab
from tests.restores.lab import Lab
from tests.support.servers import drop_database

SCHEMAS = """
CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
INSERT INTO users (name) SELECT 'user ' || i FROM generate_series(1, 100) i;
CREATE INDEX users_name ON users (name);
CREATE TABLE orders (id serial PRIMARY KEY, user_id int REFERENCES users (id), log_id int);
INSERT INTO orders (user_id) SELECT i FROM generate_series(1, 50) i;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE quiet AS ON DELETE TO users DO INSTEAD NOTHING;
CREATE VIEW names AS SELECT name FROM users;

CREATE SCHEMA archive;
CREATE TABLE archive.users (id int PRIMARY KEY, name text);
INSERT INTO archive.users VALUES (1, 'ada');
ALTER TABLE orders ADD old_id int REFERENCES archive.users (id);
UPDATE orders SET old_id = 1 WHERE id < 10;
CREATE TABLE archive.tree (id int PRIMARY KEY, parent int REFERENCES archive.tree (id));
CREATE RULE forget AS ON DELETE TO orders DO ALSO DELETE FROM archive.users WHERE users.id = old.old_id;
CREATE INDEX users_name ON archive.users (name);
CREATE VIEW old_names AS SELECT name FROM archive.users;
CREATE MATERIALIZED VIEW old_count AS SELECT count(*) AS n FROM old_names;
CREATE UNIQUE INDEX old_count_n ON old_count (n);

CREATE SCHEMA audit;
CREATE TABLE audit.logs (id bigserial PRIMARY KEY, what text);
CREATE TABLE audit.counted (id int GENERATED ALWAYS AS IDENTITY);
CREATE SEQUENCE audit.free;
ALTER TABLE orders ADD FOREIGN KEY (log_id) REFERENCES audit.logs (id);
CREATE FUNCTION first_log() RETURNS SETOF audit.logs LANGUAGE sql AS 'SELECT * FROM audit.logs LIMIT 1';

COMMENT ON TABLE users IS 'kept';
COMMENT ON TABLE archive.users IS 'left out';
COMMENT ON VIEW old_names IS 'on what is left out';
COMMENT ON COLUMN old_names.name IS 'on what is left out';
COMMENT ON FUNCTION first_log() IS 'on what is left out';
"""
HEALTHY = {
    "index": "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public' AND indexname IN"
    " ('users_name', 'users_pkey', 'orders_pkey')",
    "key": "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND confrelid = 'public.users'::regclass",
    "trigger": "SELECT count(*) FROM pg_trigger WHERE tgname = 'touch'",
    "rule": "SELECT count(*) FROM pg_rules WHERE rulename = 'quiet'",
    "view": "SELECT count(*) FROM pg_views WHERE schemaname = 'public' AND viewname = 'names'",
    "function": "SELECT count(*) FROM pg_proc WHERE proname = 'touch'",
}
LOSS = """
DROP INDEX public.users_name; DROP TRIGGER touch ON users; DROP VIEW names;
ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey
"""
OF_ARCHIVE = {
    "orders_old_id_fkey on public.orders", "forget on public.orders", "public.old_names", "public.old_count",
    "public.old_count_n", "on public.old_names", "on public.old_names.name",
}  # fmt: skip
"""What is built on archive.users, and can be told from what is built on public.users by more than its bare name."""
OF_AUDIT = {"orders_log_id_fkey on public.orders", "public.first_log()", "on public.first_log()"}
FOUND = {"index": 3, "key": 1, "trigger": 1, "rule": 1, "view": 1, "function": 1}


def restored(
    lab: Lab, backup: Backup, server: LocalServer, *, then: Callable[[Address], None] = lambda _: None
) -> tuple[RestoreReport, list[str]]:
    """Restore into a database that is dropped afterwards, and return the report and the run's log."""
    target = server.address.with_database("restored_partially")
    try:
        with lab.run("restore") as run:
            url = server.address.url().get_secret_value()
            report = restore_backup(lab.installation, backup, target.dbname, run, server_url=url)
        then(target)
    finally:
        drop_database(target)
    return report, [line.message for line in lab.installation.catalog.runs.log(run.run_id)]


def assert_healthy(database: Address) -> None:
    found = {}
    with connect(database) as connection:
        for name, query in HEALTHY.items():
            row = connection.execute(query.encode()).fetchone()
            assert row is not None
            found[name] = row[0]
    assert found == FOUND


@pytest.fixture
def schemas(new_lab: NewLab) -> Lab:
    return new_lab(SCHEMAS)


@pytest.mark.parametrize(
    ("excluded", "dependent"),
    [
        (("audit.*",), OF_AUDIT),
        (("archive.users",), OF_ARCHIVE),
        (("archive.*", "audit.*"), OF_AUDIT | OF_ARCHIVE),
        (("audit.counted",), set()),
    ],
)  # fmt: skip
def test_a_partial_backup_loses_nothing_that_does_not_name_an_excluded_table(
    schemas: Lab, server18: LocalServer, excluded: tuple[str, ...], dependent: set[str]
) -> None:
    backup = schemas.back_up(exclude=excluded)
    report, _ = restored(schemas, backup, server18, then=assert_healthy)
    assert report.outcome == "passed", report.summary
    assert report.comparison is not None
    assert {o.name for o in report.comparison.objects} == dependent


PARTITIONED = """
CREATE TABLE events (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2025-01-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2030-01-01');
INSERT INTO events VALUES (1, '2024-05-05'), (2, '2026-05-05');
CREATE TABLE notes (event int, day date, FOREIGN KEY (event, day) REFERENCES events) PARTITION BY RANGE (day);
CREATE TABLE notes_all PARTITION OF notes FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
INSERT INTO notes SELECT id, day FROM events;
CREATE TABLE kept (id int PRIMARY KEY, parent int REFERENCES kept);
"""


def test_a_key_to_a_table_of_which_a_partition_is_left_out_is_left_out_as_well(
    new_lab: NewLab, server18: LocalServer
) -> None:
    lab = new_lab(PARTITIONED)
    backup = lab.back_up(exclude=("events_old",))
    report, remarks = restored(lab, backup, server18)
    assert report.outcome == "passed", report.summary
    assert report.comparison is not None
    assert [o.name for o in report.comparison.objects] == ["notes_event_day_fkey on public.notes"]
    assert any("notes_event_day_fkey" in line and "leaves out" in line for line in remarks)


@pytest.mark.parametrize("excluded", ["audit.*", "archive.users"])
def test_a_lost_index_of_a_kept_table_is_never_forgiven(schemas: Lab, excluded: str) -> None:
    fingerprints = []
    with connect(schemas.source) as connection:
        left_out = match_tables(connection, [excluded])
        for statement in ("SELECT 1", LOSS):
            connection.execute(statement.encode())
            fingerprints.append(take_fingerprint(schemas.source, snapshot_id=None, hash_limit=10**9, excluded=left_out))
    source, damaged = fingerprints
    old = replace(source, on_excluded=None)
    # A manifest of now, one that lists the tables and not what is built on them, and one that holds the patterns only.
    for expected, listed in ((source, left_out), (old, left_out), (old, None)):
        found = compare_fingerprints(expected, damaged, excluded=(excluded,), excluded_tables=listed)
        assert [d.split(":")[1].strip() for d in found.differences()] == [
            "orders_user_id_fkey on public.orders", "public.users_name", "touch on public.users", "public.names",
        ]  # fmt: skip
