"""The sample's databases: built in SQL, equal for equal days, readable by a role that can change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import psycopg
import pytest
from pydantic import SecretStr

from services.postgres.connection import Address, connect
from services.postgres.fingerprint import take_fingerprint
from services.postgres.fingerprint_model import Fingerprint
from services.sample.databases import BACKUP_ROLE, SCRIPTS, build_databases, do_a_days_work
from tests.support.servers import make_server

TODAY = date(2026, 11, 22)
PASSWORD = SecretStr("a 'quoted' password")
EXOTIC = 'Größe & "Umlaute" / 試験'


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    server = make_server(18, tmp_path_factory.mktemp("sample") / "data")
    build_databases(server.address, TODAY, PASSWORD)
    yield server.address
    server.destroy()


def fingerprint(server: Address, name: str) -> Fingerprint:
    return take_fingerprint(server.with_database(name), snapshot_id=None, hash_limit=10**12)


def as_backup_role(server: Address, name: str) -> Address:
    return Address(server.host, server.port, BACKUP_ROLE, PASSWORD, name, server.params)


def test_la_factoria_is_some_fifty_megabytes_and_has_one_of_everything(built: Address) -> None:
    with connect(built.with_database("la_factoria")) as connection:
        size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert size is not None
        assert 45_000_000 < size[0] < 70_000_000

        def names(query: str) -> set[str]:
            return {row[0] for row in connection.execute(query)}

        tables = names("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')")
        assert {"users", "educational_content", "content_versions", "quiz_results", "audit_logs", "temp_data"} <= tables
        assert EXOTIC in tables
        methods = names(
            "SELECT amname FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam"
        )
        assert methods == {"btree", "hash", "gin", "gist", "brin"}
        assert names("SELECT DISTINCT contype FROM pg_constraint") >= {"p", "f", "u", "c", "x"}
        assert names("SELECT DISTINCT relkind FROM pg_class") >= {"r", "p", "v", "m", "S", "i", "I"}
        assert names("SELECT DISTINCT relpersistence FROM pg_class") >= {"p", "u"}
        assert names("SELECT extname FROM pg_extension") == {"plpgsql", "citext", "pg_trgm"}
        assert names("SELECT DISTINCT attidentity FROM pg_attribute") >= {"a", "d"}
        assert "s" in names("SELECT DISTINCT attgenerated FROM pg_attribute")
        assert names("SELECT oid FROM pg_largeobject_metadata")
        assert not names("SELECT nspname FROM pg_namespace WHERE nspname = 'sample_build'")
        partitions = connection.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass")
        assert partitions.fetchone() == (15,)
        assert connection.execute("SELECT count(*) FROM audit_logs_other").fetchone() == (0,)


def test_the_backup_role_reads_everything_and_changes_nothing(built: Address) -> None:
    for name in SCRIPTS:
        with connect(as_backup_role(built, name)) as connection:
            readable = connection.execute(
                "SELECT bool_and(has_table_privilege(oid, 'SELECT')) FROM pg_class WHERE relkind IN ('r', 'm', 'S')"
                " AND relnamespace::regnamespace::text IN ('public', 'reporting')"
            ).fetchone()
            assert readable == (True,)
            role = connection.execute(
                "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
            )
            assert role.fetchone() == (False, False, False)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("CREATE TABLE public.mine (a integer)")
    with connect(as_backup_role(built, "la_factoria")) as connection:
        logo = connection.execute("SELECT length(lo_get(logo)) FROM organisations WHERE logo IS NOT NULL").fetchone()
        assert logo == (262144,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM quiz_results")


def test_no_object_belongs_to_a_superuser(built: Address) -> None:
    for name in SCRIPTS:
        with connect(built.with_database(name)) as connection:
            owners = connection.execute(
                "SELECT DISTINCT relowner::regrole::text FROM pg_class"
                " WHERE relnamespace::regnamespace::text IN ('public', 'reporting')"
            ).fetchall()
            assert owners == [(f"{name}_app",)]


def test_two_builds_of_one_day_are_equal_and_a_half_built_database_is_built_anew(built: Address) -> None:
    before = [fingerprint(built, name) for name in SCRIPTS]
    with connect(built) as connection:
        for name in SCRIPTS:
            connection.execute(f"DROP DATABASE {name}")
        connection.execute("CREATE DATABASE billing_building")
    with connect(built.with_database("billing_building")) as connection:
        connection.execute("CREATE TABLE customers (half integer)")
    build_databases(built, TODAY, PASSWORD)
    for name, one in zip(SCRIPTS, before, strict=True):
        two = fingerprint(built, name)
        assert (two.tables, two.sequences, two.objects) == (one.tables, one.sequences, one.objects)
        assert one.rows > 20_000
        assert all(table.hash for table in one.tables)
    with connect(built) as connection:
        assert not connection.execute("SELECT FROM pg_database WHERE datname LIKE '%building'").fetchall()


def test_a_days_work_changes_rows_but_no_structure(built: Address) -> None:
    before = fingerprint(built, "la_factoria")
    do_a_days_work(built)
    after = fingerprint(built, "la_factoria")
    assert after.objects == before.objects
    hashes = {(table.schema, table.name): table.hash for table in before.tables}
    changed = {table.name for table in after.tables if table.hash != hashes[table.schema, table.name]}
    assert {"educational_content", "quiz_results", "users", "temp_data", "course_scores"} <= changed
    assert "organisations" not in changed
