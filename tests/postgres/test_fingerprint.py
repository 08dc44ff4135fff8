"""The fingerprint: equal exactly when the databases are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from services.errors import BackupsError, Cancelled, ConnectionFailed
from services.postgres.connection import Address, connect
from services.postgres.fingerprint import take_fingerprint
from services.postgres.fingerprint_model import Fingerprint, TableFingerprint
from services.postgres.server import LocalServer
from tests.support.run_context import RecordingRun
from tests.support.servers import NewDatabase

# type -> a value, and one that differs by the least that this type can differ
CHANGES = {
    "bool": ("true", "false"),
    "int2": ("1", "2"),
    "int4": ("2147483646", "2147483647"),
    "int8": ("9223372036854775806", "9223372036854775807"),
    "float4": ("1.5", "1.5000001"),
    "float8": ("0.1", "0.10000000000000002"),
    "numeric": ("1.0", "1.00"),
    "money": ("1.00", "1.01"),
    "text": ("abc", "abd"),
    "varchar(9)": ("a", "a "),
    "char(5)": ("a", "b"),
    '"char"': ("a", "b"),
    "name": ("a", "b"),
    "bytea": (r"\x00", r"\x01"),
    "date": ("2026-01-01", "2026-01-02"),
    "time": ("10:00:00.000001", "10:00:00.000002"),
    "timetz": ("10:00:00+01", "09:00:00+00"),
    "timestamp": ("2026-01-01 00:00:00.000001", "2026-01-01 00:00:00.000002"),
    "timestamptz": ("2026-01-01 00:00:00+00", "2026-01-01 00:00:00.000001+00"),
    "interval": ("1 day", "24 hours"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001"),
    "json": ('{"a": 1}', '{"a":1}'),
    "jsonb": ('{"a": 1}', '{"a": 2}'),
    "jsonpath": ("$.a", "$.b"),
    "inet": ("10.0.0.1", "10.0.0.1/31"),
    "cidr": ("10.0.0.0/24", "10.0.0.0/25"),
    "macaddr": ("08:00:2b:01:02:03", "08:00:2b:01:02:04"),
    "macaddr8": ("08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03:04:06"),
    "bit(4)": ("1010", "1011"),
    "varbit": ("10", "100"),
    "point": ("(1,2)", "(1,3)"),
    "polygon": ("((0,0),(1,1))", "((0,0),(1,2))"),
    "circle": ("<(0,0),1>", "<(0,0),2>"),
    "tsvector": ("a:1 b:2", "a:1 b:3"),
    "tsquery": ("a & b", "a | b"),
    "oid": ("1", "2"),
    "regclass": ("pg_class", "pg_type"),
    "pg_lsn": ("0/1", "0/2"),
    "int4range": ("[1,5)", "[1,6)"),
    "int4[]": ("{1,2,3,4}", "{{1,2},{3,4}}"),
    "text[]": ("{a,NULL}", "{a,null2}"),
    "int8[]": ("{1,2}", "[0:1]={1,2}"),
    "numeric[]": ("{1.0}", "{1.00}"),
    "mood": ("sad", "happy"),
    "mood[]": ("{sad,happy}", "{happy,sad}"),
    "pair": ("(1,a)", "(1,b)"),
    "positive": ("1", "2"),
    "nested": ("1", "2"),
    "span": ("[1,2)", "[1,3)"),
}
TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN nested AS positive;
CREATE TYPE span AS RANGE (subtype = float8);
"""


@pytest.fixture(params=[13, 15, 18])
def one_server(request: pytest.FixtureRequest, server: Callable[[int], LocalServer]) -> LocalServer:
    return server(request.param)


def take(address: Address, *, hash_limit: int = 10**9, **options: Any) -> Fingerprint:
    return take_fingerprint(address, snapshot_id=None, hash_limit=hash_limit, **options)


def table(found: Fingerprint, name: str) -> TableFingerprint:
    return next(t for t in found.tables if t.name == name)


def run_sql(address: Address, script: str) -> None:
    with connect(address) as connection:
        connection.execute(script.encode())


def test_the_least_change_of_one_value_of_any_type_is_seen(one_server: LocalServer, database: NewDatabase) -> None:
    columns = ", ".join(f"c{i} {kind}" for i, kind in enumerate(CHANGES))
    values = ", ".join(f"'{old}'" for old, _ in CHANGES.values())
    script = f"{TYPES} CREATE TABLE plain ({columns}); INSERT INTO plain VALUES ({values}), ({values});"
    script += "CREATE TABLE copied AS TABLE plain;"
    for i, (_, new) in enumerate(CHANGES.values()):
        for name, value in ((f"new_{i}", f"'{new}'"), (f"null_{i}", "NULL")):
            script += f"CREATE TABLE {name} AS TABLE plain LIMIT 1; UPDATE {name} SET c{i} = {value};"
            script += f"INSERT INTO {name} TABLE plain LIMIT 1;"
    found = take(database(one_server, script))
    assert {t.rows for t in found.tables} == {2}
    assert table(found, "copied").hash == table(found, "plain").hash
    seen = {table(found, "plain").hash: "the old value"}
    for i, (kind, (old, new)) in enumerate(CHANGES.items()):
        for name in (f"new_{i}", f"null_{i}"):
            hashed = table(found, name).hash
            assert hashed not in seen, f"{name}: {kind} {old} -> {new} hashes like {seen[hashed]}"
            seen[hashed] = name


def test_two_rows_that_exchange_a_value_are_seen(one_server: LocalServer, database: NewDatabase) -> None:
    script = "".join(
        f"CREATE TABLE t{x} AS SELECT i AS a, CASE i WHEN {x} THEN 100 WHEN 100 THEN {x} ELSE i END AS b "
        "FROM generate_series(1, 100) i;"
        for x in range(1, 41)
    )
    found = take(database(one_server, script))
    assert len({t.hash for t in found.tables}) == 40


def test_order_of_rows_and_of_columns_does_not_matter(one_server: LocalServer, database: NewDatabase) -> None:
    address = database(
        one_server, "CREATE TABLE t (a int, b text); INSERT INTO t SELECT i, 'x' || i FROM generate_series(1, 99) i"
    )
    before = table(take(address), "t").hash
    run_sql(address, "DROP TABLE t; CREATE TABLE t (b text, gone int, a int); ALTER TABLE t DROP gone;"
                     "INSERT INTO t SELECT 'x' || i, i FROM generate_series(99, 1, -1) i")  # fmt: skip
    assert table(take(address), "t").hash == before


def test_settings_of_role_and_database_change_nothing(one_server: LocalServer, database: NewDatabase) -> None:
    script = (
        "CREATE TABLE t (d date, i interval, z timestamptz, b bytea, f float8, r regclass);"
        "INSERT INTO t VALUES ('2026-02-01', '1 day 2 hours', '2026-01-01 UTC', 'ab', 0.1, 't')"
    )
    address = database(one_server, script)
    before = table(take(address), "t").hash
    for setting in (
        "DateStyle = 'German'", "IntervalStyle = 'iso_8601'", "TimeZone = 'Asia/Tokyo'", "bytea_output = 'escape'",
        "extra_float_digits = -5", "search_path = 'nowhere'", "statement_timeout = '20ms'", "row_security = off",
    ):  # fmt: skip
        run_sql(address, f'ALTER DATABASE "{address.dbname}" SET {setting}')
    assert table(take(address), "t").hash == before


def test_which_tables_are_read(one_server: LocalServer, database: NewDatabase) -> None:
    address = database(
        one_server,
        """
        CREATE TABLE p (i int) PARTITION BY RANGE (i); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
        CREATE TABLE p2 PARTITION OF p DEFAULT; INSERT INTO p VALUES (1), (2), (20);
        CREATE TABLE parent (i int); CREATE TABLE child () INHERITS (parent);
        INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2), (3);
        CREATE UNLOGGED TABLE u (i int); CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES;
        CREATE MATERIALIZED VIEW m AS SELECT 1 AS one; CREATE MATERIALIZED VIEW hollow AS SELECT 1 AS one WITH NO DATA;
        CREATE VIEW v AS SELECT 1; CREATE TABLE left_out (i int);
        """,
    )
    found = take(address, excluded=[("public", "left_out")])
    assert {(t.name, t.kind, t.rows) for t in found.tables} == {
        ("p1", "table", 2), ("p2", "table", 1), ("parent", "table", 1), ("child", "table", 2), ("u", "table", 0),
        ("nothing", "table", 1), ("m", "materialized view", 1),
    }  # fmt: skip
    assert table(found, "nothing").method == "count"
    assert not any("left_out" in entry for entries in found.objects.values() for entry in entries)


def test_generated_columns_are_not_hashed(one_server: LocalServer, database: NewDatabase) -> None:
    address = database(one_server, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    before = table(take(address), "t").hash
    run_sql(address, "ALTER TABLE t ADD COLUMN g int GENERATED ALWAYS AS (a + 1) STORED")
    assert table(take(address), "t").hash == before


def test_a_table_of_1600_columns_and_odd_names_are_read(one_server: LocalServer, database: NewDatabase) -> None:
    columns = ", ".join(f"c{i} smallint[]" if i % 2 else f"c{i} smallint" for i in range(1600))
    long_name = "ü" * 31 + "x"  # 63 bytes
    address = database(
        one_server,
        f"CREATE TABLE wide ({columns}); INSERT INTO wide (c7, c1598) VALUES ('{{1}}', 5);"
        f'CREATE SCHEMA "a.b ""c"; CREATE TABLE "a.b ""c"."{long_name}" ("%s" int, "{{}}" text, "q""q" int);'
        f'INSERT INTO "a.b ""c"."{long_name}" VALUES (1, \'x\', 2);',
    )
    found = take(address)
    assert (table(found, "wide").rows, table(found, long_name).rows) == (1, 1)
    run_sql(address, "UPDATE wide SET c1598 = 6")
    assert table(take(address), "wide").hash != table(found, "wide").hash


def test_a_table_above_the_limit_is_counted_and_says_why(one_server: LocalServer, database: NewDatabase) -> None:
    address = database(one_server, "CREATE TABLE t AS SELECT generate_series(1, 1000) i; CREATE TABLE small (i int)")
    found = take(address, hash_limit=10_000)
    assert (table(found, "t").rows, table(found, "t").hash, table(found, "t").method) == (1000, None, "count")
    assert "limit of 10000" in table(found, "t").why_no_hash
    assert table(found, "small").hash == "0"
    assert all(t.hash is None for t in take(address, hash_limit=0).tables)
    # The same method is used again, whatever the limit.
    again = take(address, hash_limit=10**9, like=found)
    assert [(t.name, t.hash) for t in again.tables] == [(t.name, t.hash) for t in found.tables]


def test_large_objects_are_counted_and_hashed(one_server: LocalServer, database: NewDatabase) -> None:
    address = database(one_server, "SELECT lo_from_bytea(100, convert_to(repeat('x', 5000), 'UTF8'))")

    def entries() -> tuple[str, ...]:
        return take(address).objects["large objects"]

    seen = {entries()}
    assert entries()[0] == "count = 1"
    for change in ("SELECT lo_put(100, 4999, 'y')", "SELECT lo_put(100, 9000, 'z')", "SELECT lo_from_bytea(101, '')"):
        run_sql(address, change)
        seen.add(entries())
    assert len(seen) == 4
    # A hole is read as zeros, and restored as zeros.
    run_sql(address, r"SELECT lo_put(100, 6000, '\x00000000')")
    assert entries() in seen


def test_large_objects_hash_alike_through_their_own_rights(one_server: LocalServer, database: NewDatabase) -> None:
    address = database(
        one_server,
        "SELECT lo_from_bytea(100, convert_to(repeat('abc', 5000), 'UTF8')), lo_put(100, 50000, 'z');"
        "SELECT lo_from_bytea(101, '')",
    )
    role = f"role_{address.dbname}"
    run_sql(address, f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT ON LARGE OBJECT 100, 101 TO {role}")
    limited = replace(address, user=role, password=SecretStr("x"))
    try:
        assert take(limited).objects["large objects"] == take(address).objects["large objects"]
    finally:
        run_sql(address, f"DROP OWNED BY {role}; DROP ROLE {role}")


OBJECTS = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE t (a int PRIMARY KEY, b varchar(5) DEFAULT 'x' CHECK (b IN ('x', 'y')), m mood);
CREATE INDEX t_b ON t (b) WHERE a > 1;
CREATE VIEW v AS SELECT a FROM t WHERE a > 1;
CREATE FUNCTION f(i int) RETURNS int LANGUAGE sql AS 'SELECT i + 1';
CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION tf();
CREATE SEQUENCE s;
CREATE POLICY p ON t USING (a = 1);
CREATE TABLE parted (a int) PARTITION BY RANGE (a);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TRIGGER pg BEFORE UPDATE ON parted FOR EACH ROW EXECUTE FUNCTION tf();
CREATE PUBLICATION pub FOR TABLE t;
COMMENT ON COLUMN t.a IS 'one';
"""


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ("ALTER TABLE t ALTER b SET DEFAULT 'y'", {"columns"}),
        ("ALTER TABLE t ALTER b SET NOT NULL", {"columns"}),
        (
            "ALTER TABLE t DROP CONSTRAINT t_b_check; ALTER TABLE t ADD CONSTRAINT t_b_check CHECK (b IN ('x', 'z'))",
            {"constraints"},
        ),
        ("DROP INDEX t_b; CREATE INDEX t_b ON t (b) WHERE a > 2", {"indexes"}),
        ("CREATE OR REPLACE VIEW v AS SELECT a FROM t WHERE a > 2", {"views"}),
        ("CREATE OR REPLACE FUNCTION f(i int) RETURNS int LANGUAGE sql AS 'SELECT i + 2'", {"functions"}),
        ("ALTER TABLE t DISABLE TRIGGER g", {"triggers"}),
        ("ALTER TYPE mood ADD VALUE 'happy'", {"types"}),
        ("ALTER SEQUENCE s INCREMENT 2", {"sequences"}),
        ("ALTER POLICY p ON t USING (a = 2)", {"policies"}),
        ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", {"tables"}),
        ("CREATE SCHEMA more", {"schemas"}),
        ("CREATE STATISTICS st ON a, b FROM t", {"statistics"}),
        ("CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING", {"rules"}),
        ("ALTER TABLE parted_1 DISABLE TRIGGER pg", {"triggers of partitions"}),
        ("ALTER PUBLICATION pub SET (publish = 'insert')", {"publication options"}),
        ("ALTER PUBLICATION pub SET (publish_via_partition_root = true)", {"publication options"}),
        ("COMMENT ON TABLE t IS 'x'", {"comments"}),
        ("COMMENT ON COLUMN t.b IS 'x'", {"comments"}),
        ("COMMENT ON VIEW v IS 'x'", {"comments"}),
        ("COMMENT ON FUNCTION f(int) IS 'x'", {"comments"}),
        ("COMMENT ON COLUMN t.a IS 'another'", {"comments"}),
    ],
)
def test_a_changed_object_is_seen(server18: LocalServer, database: NewDatabase, change: str, kinds: set[str]) -> None:
    address = database(server18, OBJECTS)
    before = take(address)
    run_sql(address, change)
    after = take(address)
    assert {kind for kind in before.objects if before.objects[kind] != after.objects[kind]} == kinds


def test_sequences_have_their_value_and_whether_it_was_given_out(server18: LocalServer, database: NewDatabase) -> None:
    address = database(server18, "CREATE SEQUENCE a; CREATE SEQUENCE b; SELECT nextval('b'), nextval('b');"
                                 "CREATE TABLE gone (i int GENERATED ALWAYS AS IDENTITY)")  # fmt: skip
    assert take(address, excluded=[("public", "gone")]).sequences == {"public.a": "1/false", "public.b": "2/true"}


def test_rows_that_row_security_would_hide_are_an_error(one_server: LocalServer, database: NewDatabase) -> None:
    address = database(one_server, "CREATE TABLE t (i int); ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    role = f"role_{address.dbname}"
    run_sql(address, f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT ON t TO {role}")
    try:
        with pytest.raises(BackupsError, match="row-level security"):
            take(replace(address, user=role, password=SecretStr("x")))
    finally:
        run_sql(address, f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_cancelling_ends_a_long_query(server18: LocalServer, database: NewDatabase) -> None:
    address = database(server18, "CREATE TABLE t AS SELECT generate_series(1, 10) i")
    run = RecordingRun()
    with connect(address) as holder:
        holder.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        threading.Timer(0.5, run.cancel).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            take(address, run=run)
        assert time.monotonic() - began < 10


def test_hundreds_of_partitions_take_few_round_trips(server18: LocalServer, database: NewDatabase) -> None:
    address = database(server18, "CREATE TABLE p (i int) PARTITION BY LIST (i);")
    for start in range(0, 600, 200):
        run_sql(
            address,
            "".join(f"CREATE TABLE p{i} PARTITION OF p FOR VALUES IN ({i});" for i in range(start, start + 200)),
        )
    run_sql(address, "INSERT INTO p SELECT i % 600 FROM generate_series(1, 6000) i")
    found = take(address)
    assert (len(found.tables), found.rows) == (600, 6000)
    assert found.seconds < 20


def test_a_fingerprint_survives_json(server18: LocalServer, database: NewDatabase) -> None:
    keyed = "CREATE TABLE log (id int PRIMARY KEY); CREATE TABLE seen (id int REFERENCES log)"
    address = database(server18, OBJECTS + keyed)
    for excluded in ([], [("public", "log")]):
        found = take(address, excluded=excluded)
        assert Fingerprint.from_json(found.to_json()) == found
    assert found.on_excluded == {"constraints": ("seen_id_fkey on public.seen",), "rules": ()}
    earlier = {name: value for name, value in found.to_json().items() if name != "on_excluded"}
    assert Fingerprint.from_json(earlier) == replace(found, on_excluded=None)


def test_a_wrong_password_is_a_failed_connection(server18: LocalServer) -> None:
    with pytest.raises(ConnectionFailed, match="refuses the password"):
        take(replace(server18.address, password=SecretStr("wrong")))
