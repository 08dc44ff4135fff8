"""Partial backups by schema, and tables of one name in two schemas: what is healthy is restored and compared."""

from __future__ import annotations

import pytest

from services.postgres.connection import Address, connect
from services.postgres.fingerprint import take_fingerprint
from services.postgres.patterns import match_tables
from services.postgres.server import LocalServer
from services.restores.compare import compare_fingerprints
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
FOUND = {"index": 3, "key": 1, "trigger": 1, "rule": 1, "view": 1, "function": 1}


def healthy(database: Address) -> dict[str, int]:
    found = {}
    with connect(database) as connection:
        for name, query in HEALTHY.items():
            row = connection.execute(query.encode()).fetchone()
            assert row is not None
            found[name] = row[0]
    return found


@pytest.fixture
def schemas(new_lab: NewLab) -> Lab:
    return new_lab(SCHEMAS)


@pytest.mark.parametrize(
    ("excluded", "dependent"),
    [
        (("audit.*",), {"orders_log_id_fkey on public.orders", "public.first_log()"}),
        (("archive.users",), {"public.old_names", "public.old_count", "public.old_count_n"}),
        (("archive.*", "audit.*"), {
            "orders_log_id_fkey on public.orders", "public.first_log()", "public.old_names", "public.old_count",
            "public.old_count_n",
        }),
        (("audit.counted",), set()),
    ],
)  # fmt: skip
def test_a_partial_backup_loses_nothing_that_does_not_name_an_excluded_table(
    schemas: Lab, server18: LocalServer, excluded: tuple[str, ...], dependent: set[str]
) -> None:
    backup = schemas.back_up(exclude=excluded)
    target = server18.address.with_database("restored_partially")
    try:
        with schemas.run("restore") as run:
            url = server18.address.url().get_secret_value()
            report = restore_backup(schemas.installation, backup, target.dbname, run, server_url=url)
        assert report.outcome == "passed", report.summary
        assert report.comparison is not None
        assert {o.name for o in report.comparison.objects} == dependent
        assert healthy(target) == FOUND
    finally:
        drop_database(target)


@pytest.mark.parametrize("excluded", ["audit.*", "archive.users"])
def test_a_lost_index_of_a_kept_table_is_never_forgiven(schemas: Lab, excluded: str) -> None:
    fingerprints = []
    with connect(schemas.source) as connection:
        left_out = match_tables(connection, [excluded])
        for statement in ("SELECT 1", LOSS):
            connection.execute(statement.encode())
            fingerprints.append(take_fingerprint(schemas.source, snapshot_id=None, hash_limit=10**9, excluded=left_out))
    for listed in (left_out, None):  # a manifest that lists the tables, and one that holds the patterns only
        found = compare_fingerprints(*fingerprints, excluded=(excluded,), excluded_tables=listed)
        assert [d.split(":")[1].strip() for d in found.differences()] == [
            "orders_user_id_fkey on public.orders", "public.users_name", "touch on public.users", "public.names",
        ]  # fmt: skip
