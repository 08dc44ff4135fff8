"""A table or a schema of a backup, restored into a new database with what it needs, compared, and no proof of more."""

from __future__ import annotations

import pytest

from services import commands
from services.catalog.model import Backup
from services.errors import InputError, NothingMatches
from services.postgres.connection import Address, connect
from services.postgres.server import LocalServer
from services.restores.parts import PartRequest
from services.restores.report import RestoreReport
from services.restores.restore import restore_backup
from tests.large.conftest import NewLab, back_up
from tests.restores.lab import Lab, leftovers
from tests.support.servers import drop_database

SALES = """
CREATE SCHEMA sales;
CREATE TYPE sales.mood AS ENUM ('ok', 'bad');
CREATE FUNCTION sales.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE customers (id int PRIMARY KEY, name text);
INSERT INTO customers SELECT i, 'customer ' || i FROM generate_series(1, 100) i;
CREATE TABLE sales.orders (id serial PRIMARY KEY, customer int REFERENCES customers, mood sales.mood DEFAULT 'ok',
  parent int REFERENCES sales.orders, total numeric CHECK (total >= 0));
INSERT INTO sales.orders (customer, total) SELECT i, i * 2 FROM generate_series(1, 100) i;
CREATE INDEX orders_total ON sales.orders (total);
CREATE TRIGGER touch BEFORE UPDATE ON sales.orders FOR EACH ROW EXECUTE FUNCTION sales.touch();
CREATE TABLE sales.lines (order_id int REFERENCES sales.orders, what text);
INSERT INTO sales.lines SELECT i, 'thing' FROM generate_series(1, 50) i;
COMMENT ON TABLE sales.orders IS 'what was sold';
CREATE VIEW sales.of_customers AS SELECT c.name, o.total FROM sales.orders o JOIN customers c ON c.id = o.customer;
CREATE TABLE events (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2025-01-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2030-01-01');
INSERT INTO events VALUES (1, '2024-05-05'), (2, '2026-05-05'), (3, '2026-06-06');
CREATE SCHEMA empty;
"""
RELATIONS = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname IN ('public', 'sales') ORDER BY 1
"""


def restored(
    lab: Lab, backup: Backup, server: LocalServer, request: PartRequest
) -> tuple[RestoreReport, list[str], dict[str, int]]:
    """Restore a part; return the report, the relations that are there, and the rows of each table."""
    target = server.address.with_database("restored_part")
    try:
        with lab.run("restore") as run:
            url = server.address.url().get_secret_value()
            report = restore_backup(lab.installation, backup, target.dbname, run, server_url=url, request=request)
        with connect(target) as connection:
            names = [row[0] for row in connection.execute(RELATIONS)]
            rows = {}
            for name in names:
                row = connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchone()
                assert row is not None
                rows[name] = row[0]
    finally:
        drop_database(target)
    return report, names, rows


@pytest.mark.parametrize("jobs", [1, 2], ids=["custom", "directory"])
def test_one_table_comes_with_what_it_needs_and_no_more(new_lab: NewLab, server18: LocalServer, jobs: int) -> None:
    lab = new_lab(SALES)
    backup = back_up(lab, jobs=jobs)
    report, names, rows = restored(lab, backup, server18, PartRequest(tables=("sales.orders",)))
    assert report.outcome == "passed", report.summary
    assert names == ["sales.orders"]
    assert rows == {"sales.orders": 100}
    assert report.left_out == ("fk constraint sales.orders orders_customer_fkey",)
    assert "Part of the backup (sales.orders), no proof of the whole" in report.summary
    assert lab.again(backup).proven_at is None
    assert leftovers(lab) == []


def test_a_schema_comes_whole_and_the_tables_that_its_views_read_are_left_empty(
    new_lab: NewLab, server18: LocalServer
) -> None:
    lab = new_lab(SALES)
    report, names, rows = restored(lab, back_up(lab), server18, PartRequest(schemas=("sales",)))
    assert report.outcome == "passed", report.summary
    assert names == ["public.customers", "sales.lines", "sales.of_customers", "sales.orders"]
    assert rows == {"public.customers": 0, "sales.lines": 50, "sales.of_customers": 0, "sales.orders": 100}
    assert "orders_customer_fkey" in report.left_out[0]


def test_a_partitioned_table_comes_with_its_partitions_and_a_partition_alone(
    new_lab: NewLab, server18: LocalServer
) -> None:
    lab = new_lab(SALES)
    backup = back_up(lab)
    report, _, rows = restored(lab, backup, server18, PartRequest(tables=("events",)))
    assert (report.outcome, rows) == ("passed", {"public.events": 3, "public.events_new": 2, "public.events_old": 1})
    report, _, rows = restored(lab, backup, server18, PartRequest(tables=("public.events_new",)))
    assert (report.outcome, rows) == ("passed", {"public.events": 2, "public.events_new": 2})


@pytest.mark.parametrize("jobs", [1, 2], ids=["custom", "directory"])
def test_every_table_of_a_rich_schema_can_be_restored_alone(new_lab: NewLab, server18: LocalServer, jobs: int) -> None:
    lab = new_lab()
    backup = back_up(lab, jobs=jobs)
    for request in (
        PartRequest(tables=("users", "orders")),
        PartRequest(tables=("totals", "child", "cache")),
        PartRequest(tables=('"Odd ""Schema"""."tab le ünïcödé; DROP"', "event_notes")),
        PartRequest(schemas=("public",)),
    ):
        report, _, _ = restored(lab, backup, server18, request)
        assert report.outcome == "passed", (request, report.summary)


def test_a_part_that_lost_rows_or_an_index_is_different(new_lab: NewLab, server18: LocalServer) -> None:
    lab = new_lab(SALES)
    backup = lab.back_up(
        spoil="DELETE FROM sales.lines; DROP INDEX sales.orders_total; DROP TRIGGER touch ON sales.orders"
    )
    report, _, _ = restored(lab, backup, server18, PartRequest(tables=("sales.lines",)))
    assert report.outcome == "failed"
    assert "table sales.lines: 0 rows instead of 50" in report.summary
    report, _, _ = restored(lab, backup, server18, PartRequest(tables=("sales.orders",)))
    assert report.outcome == "failed"
    assert "touch on sales.orders" in report.summary


def test_what_is_not_in_the_backup_is_refused_before_anything_is_made(new_lab: NewLab, server18: LocalServer) -> None:
    lab = new_lab(SALES)
    backup = back_up(lab)
    url = server18.address.url().get_secret_value()
    for request, words in (
        (PartRequest(tables=("sales.order",)), "no table 'sales.order'"),
        (PartRequest(schemas=("sale",)), "no schema 'sale'"),
    ):
        with lab.run("restore") as run, pytest.raises(NothingMatches, match=words):
            restore_backup(lab.installation, backup, "never_made", run, server_url=url, request=request)
    for tables, schemas in ((["a.b.c"], []), ([" "], []), ([], ["a.b"]), (["x["], [])):
        with pytest.raises(InputError):
            commands.submit_restore(lab.installation, backup.id, "new", tables=tables, schemas=schemas, actor="t")
    with connect(Address.parse(url)) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname LIKE '%never_made%' OR datname ~ 'restoring'"
        )
        assert found.fetchone() is None
