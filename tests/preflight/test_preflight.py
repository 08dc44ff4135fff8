"""The checks before a backup: each in the state in which it is ok, warns and blocks."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from services.catalog.model import Backup, Copy
from services.errors import Cancelled
from services.installation import Installation
from services.postgres import facts
from services.postgres.connection import Address, connect
from services.postgres.server import LocalServer
from services.preflight import Check, Preflight, preflight, server
from services.settings.model import StorageSettings
from tests.support.installations import make_installation
from tests.support.run_context import RecordingRun
from tests.support.s3 import fault_server, free_port, moto_server, plain_client, settings_for
from tests.support.servers import NewDatabase

AT = datetime(2026, 11, 20, 2, tzinfo=UTC)
ROLE = "CREATE ROLE {role} LOGIN PASSWORD 'reader'; {rights}"


def check(found: Preflight, name: str) -> Check:
    return next(c for c in found.checks if c.name == name)


def look(tmp_path: Path, address: Address, **changes: Any) -> Preflight:
    """Run the pre-checks on a fresh installation; ``exclude_tables`` go to the call, the rest to the settings."""
    exclude = changes.pop("exclude_tables", ())
    installation = make_installation(tmp_path, url=address.url().get_secret_value(), **changes)
    try:
        return preflight(installation, installation.settings.databases[0], exclude_tables=exclude)
    finally:
        installation.close()


@pytest.fixture(params=[15, 18])
def one_server(request: pytest.FixtureRequest) -> LocalServer:
    found: LocalServer = request.getfixturevalue(f"server{request.param}")
    return found


@pytest.fixture
def reader(one_server: LocalServer, database: NewDatabase) -> Iterator[Address]:
    """Return a database through a role that may log in and nothing else."""
    address = database(one_server, "CREATE TABLE a (i int); INSERT INTO a VALUES (1); CREATE TABLE b (i int)")
    role = f"reader_{address.dbname}"
    with connect(address) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'reader'".encode())
    yield replace(address, user=role, password=SecretStr("reader"))
    with connect(address) as connection:
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def admin(server: LocalServer, address: Address, statement: str) -> None:
    with connect(server.address.with_database(address.dbname)) as connection:
        connection.execute(statement.encode())


def test_a_plain_database_has_no_blocking_check(one_server: LocalServer, database: NewDatabase, tmp_path: Path) -> None:
    found = look(tmp_path, database(one_server, "CREATE TABLE a (i int)"))
    assert not found.blocking
    assert [c.name for c in found.checks if c.severity == "warning"] == ["role"]  # tests connect as superuser
    assert found.database_bytes is not None
    assert found.database_bytes > 10**6
    assert found.expected_bytes is None
    assert "no earlier backup" in check(found, "size").message


def test_an_unreachable_server_is_a_blocking_check_and_quick(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    began = time.monotonic()
    found = look(tmp_path, Address("127.0.0.1", port, "u", SecretStr("planted-password"), "d"))
    assert time.monotonic() - began < 12
    assert [c.name for c in found.blocking] == ["connection"]
    assert "nothing listens" in found.blocking[0].message
    assert "planted-password" not in repr(found)
    assert found.database_bytes is None


def test_a_server_newer_than_every_client_blocks(
    server18: LocalServer, database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.postgres.clients import find_clients

    old = [c for c in find_clients() if c.major < 18]
    monkeypatch.setattr(server, "find_clients", lambda _dirs: old)
    found = check(look(tmp_path, database(server18)), "versions")
    assert (found.severity, "PostgreSQL 18" in found.message) == ("blocking", True)


def test_rights_are_ok_with_pg_read_all_data_and_block_without(
    one_server: LocalServer, reader: Address, tmp_path: Path
) -> None:
    blocked = check(look(tmp_path / "1", reader), "rights")
    assert blocked.severity == "blocking"
    assert blocked.detail == ("public.a", "public.b")
    admin(one_server, reader, f"GRANT SELECT ON a TO {reader.user}")
    assert check(look(tmp_path / "2", reader), "rights").detail == ("public.b",)
    # A table that is left out need not be readable.
    assert check(look(tmp_path / "3", reader, exclude_tables=("b",)), "rights").severity == "ok"
    admin(one_server, reader, f"GRANT pg_read_all_data TO {reader.user}")
    found = look(tmp_path / "4", reader)
    assert (check(found, "rights").severity, check(found, "role").severity) == ("ok", "ok")


def test_row_level_security_that_hides_rows_blocks(one_server: LocalServer, reader: Address, tmp_path: Path) -> None:
    admin(one_server, reader, f"GRANT pg_read_all_data TO {reader.user}")
    assert check(look(tmp_path / "1", reader), "row security").severity == "ok"
    admin(one_server, reader, "ALTER TABLE a ENABLE ROW LEVEL SECURITY")
    blocked = check(look(tmp_path / "2", reader), "row security")
    assert (blocked.severity, blocked.detail) == ("blocking", ("public.a",))
    admin(one_server, reader, f"ALTER ROLE {reader.user} BYPASSRLS")
    assert check(look(tmp_path / "3", reader), "row security").severity == "ok"


def test_large_objects_are_noted_and_block_when_they_cannot_be_read(
    one_server: LocalServer, reader: Address, tmp_path: Path
) -> None:
    assert check(look(tmp_path / "1", reader), "large objects").message == "There are none."
    admin(one_server, reader, "SELECT lo_from_bytea(77, 'x')")
    assert check(look(tmp_path / "2", reader), "large objects").severity == "blocking"
    admin(one_server, reader, f"GRANT SELECT ON LARGE OBJECT 77 TO {reader.user}")
    found = check(look(tmp_path / "3", reader), "large objects")
    assert (found.severity, found.message) == ("ok", "1 large object will be in the backup.")


def test_a_long_transaction_is_shown_with_pid_user_age_and_query(
    one_server: LocalServer, reader: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = replace(one_server.address, dbname=reader.dbname)
    assert check(look(tmp_path / "1", address), "long transactions").severity == "ok"
    monkeypatch.setattr(facts, "LONG_TRANSACTION", timedelta(milliseconds=50))
    with connect(address) as busy:
        busy.execute("BEGIN")
        busy.execute(f"SELECT 1 /* {'x' * 300} */".encode())
        time.sleep(0.1)
        found = check(look(tmp_path / "2", address), "long transactions")
        assert found.severity == "warning"
        assert re.match(rf"pid {busy.info.backend_pid}, user postgres, open for \d+\.\d s, ", found.detail[0])
        assert found.detail[0].endswith("x" * 20)
        assert len(found.detail[0]) < 220
        # Who may not see other sessions is told so, rather than that all is well.
        assert "cannot be seen" in check(look(tmp_path / "3", reader), "long transactions").message


def test_prepared_transactions_warn(one_server: LocalServer, database: NewDatabase, tmp_path: Path) -> None:
    address = database(one_server, "CREATE TABLE a (i int)")
    assert check(look(tmp_path / "1", address), "prepared transactions").severity == "ok"
    with connect(address) as connection:
        connection.execute("BEGIN; INSERT INTO a VALUES (1); PREPARE TRANSACTION 'left over'")
        try:
            found = check(look(tmp_path / "2", address), "prepared transactions")
            assert found.severity == "warning"
            assert found.detail[0].startswith("left over, owner postgres, since 20")
        finally:
            connection.execute("ROLLBACK PREPARED 'left over'")


def test_a_table_locked_against_reading_warns(one_server: LocalServer, database: NewDatabase, tmp_path: Path) -> None:
    address = database(one_server, "CREATE TABLE a (i int)")
    assert check(look(tmp_path / "1", address), "locks").severity == "ok"
    with connect(address) as connection:
        connection.execute("BEGIN; LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
        found = check(look(tmp_path / "2", address), "locks")
        assert (found.severity, found.detail) == ("warning", (f"public.a (pid {connection.info.backend_pid})",))


def test_extensions_and_unlogged_tables_are_noted(
    one_server: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    found = look(tmp_path, database(one_server, "CREATE UNLOGGED TABLE scratch (i int)"))
    assert check(found, "unlogged tables").detail == ("public.scratch",)
    assert [e.split()[0] for e in check(found, "extensions").detail] == ["plpgsql"]


def test_exclude_patterns_warn_when_they_match_and_block_when_they_do_not(
    one_server: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    address = database(one_server, "CREATE TABLE audit_logs (i int); CREATE TABLE users (i int)")
    assert check(look(tmp_path / "1", address), "excluded tables").severity == "ok"
    partial = check(look(tmp_path / "2", address, exclude_tables=("audit_*",)), "excluded tables")
    assert (partial.severity, partial.detail) == ("warning", ("public.audit_logs, 0 B",))
    blocked = check(look(tmp_path / "3", address, exclude_tables=("audit_*", "nope")), "excluded tables")
    assert (blocked.severity, "'nope'" in blocked.message) == ("blocking", True)
    from_settings = look(tmp_path / "4", address, database={"exclude_tables": ("nope_too",)})
    assert check(from_settings, "excluded tables").severity == "blocking"


def past_backup(database_bytes: int, *, name: str = "b1") -> Backup:
    """Return a backup that was half as large as its database and took ten seconds a megabyte of it."""
    size = database_bytes // 2
    return Backup(
        id=name, run_id=None, name=name, database="la_factoria", type="scheduled", state="finished", started_at=AT,
        finished_at=AT + timedelta(seconds=database_bytes / 10**5), snapshot_at=AT, database_bytes=database_bytes,
        plain_bytes=2 * database_bytes, stored_bytes=size, sha256="0" * 64, plain_sha256="0" * 64, format="custom",
        compression="zstd", compression_level=3, encryption="age", recipients=(), server_version="18.1",
        client_version="18.1", excluded=(), pinned=False, note="", actor="test", trust="signed",
        copies=(Copy("primary", f"la_factoria/{name}", "file:///", "STANDARD", "stored", size, "", None),),
    )  # fmt: skip


def with_history(home: Path, address: Address, **settings: object) -> Installation:
    installation = make_installation(home, url=address.url().get_secret_value(), **settings)
    installation.catalog.backups.add(past_backup(4_000_000))
    return installation


def test_size_and_time_are_expected_from_history(server18: LocalServer, database: NewDatabase, tmp_path: Path) -> None:
    installation = with_history(tmp_path, database(server18))
    found = preflight(installation, installation.settings.databases[0])
    assert found.database_bytes is not None
    assert found.expected_bytes == pytest.approx(found.database_bytes / 2, abs=1)
    assert found.expected_plain_bytes == 2 * found.database_bytes
    assert found.expected_seconds == pytest.approx(found.database_bytes / 10**5, abs=0.1)
    # A partial backup is no measure of a whole one.
    partial = preflight(installation, installation.settings.databases[0], exclude_tables=("pg_catalog.pg_class",))
    assert partial.expected_bytes is None
    installation.close()


@pytest.mark.parametrize(("extra", "severity"), [(100.0, "ok"), (1.5, "warning"), (0.5, "blocking")])
def test_a_storage_with_little_room_warns_and_one_with_too_little_blocks(
    server18: LocalServer, database: NewDatabase, tmp_path: Path, extra: float, severity: str
) -> None:
    address = database(server18)
    with connect(address) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    limit = 2_000_000 + int(extra * row[0] / 2)  # what the earlier backup takes, and so many times the expected one
    storage = StorageSettings(name="primary", url=f"file://{tmp_path / 'storage'}", limit_bytes=limit)
    installation = with_history(tmp_path, address, storages=(storage,))
    found = preflight(installation, installation.settings.databases[0])
    assert check(found, "storage primary").severity == severity
    installation.close()


def test_a_full_storage_of_further_copies_warns_and_does_not_keep_the_backup_from_being_made(
    server18: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    storages = (
        StorageSettings(name="primary", url=f"file://{tmp_path / 'storage'}"),
        StorageSettings(name="offsite", url=f"file://{tmp_path / 'offsite'}", limit_bytes=1),
    )
    changes = {"storages": storages, "database": {"storages": ("primary", "offsite")}}
    found = look(tmp_path, database(server18), **changes)
    assert not found.blocking
    assert check(found, "storage primary").severity == "ok"
    offsite = check(found, "storage offsite")
    assert offsite.severity == "warning"
    assert offsite.message.startswith("The further copy cannot be made now: ")
    changes["database"] = {"storages": ("offsite", "primary")}
    found = look(tmp_path / "other", database(server18), **changes)
    assert [c.name for c in found.blocking] == ["storage offsite"]


@pytest.mark.parametrize("fault", ["no such bucket", "403", "away"])
def test_a_storage_that_does_not_take_what_it_is_given_is_found_before_the_dump(
    server18: LocalServer, database: NewDatabase, tmp_path: Path, fault: str
) -> None:
    address = database(server18)
    with moto_server() as upstream, fault_server(upstream) as trouble:
        plain_client(upstream).create_bucket(Bucket="there")
        if fault == "403":
            trouble.fault = lambda method, _path: "403" if method == "PUT" else None
        endpoint = f"http://127.0.0.1:{free_port()}" if fault == "away" else trouble.endpoint
        bad = settings_for(endpoint, "elsewhere" if fault == "no such bucket" else "there", timeout=2, name="cloud")
        disk = StorageSettings(name="disk", url=f"file://{tmp_path / 'disk'}")
        first = look(tmp_path / "1", address, storages=(bad, disk), database={"storages": ("cloud", "disk")})
        further = look(tmp_path / "2", address, storages=(bad, disk), database={"storages": ("disk", "cloud")})
    assert [c.name for c in first.blocking] == ["storage cloud"]
    assert first.blocking[0].hint
    assert not further.blocking
    warned = check(further, "storage cloud")
    assert warned.severity == "warning"
    assert warned.message.startswith("The further copy cannot be made now: ")


@pytest.mark.parametrize(("free", "severity"), [(10**12, "ok"), (5 * 10**8, "warning"), (10**6, "blocking")])
def test_a_full_working_folder_is_seen(
    server18: LocalServer,
    database: NewDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    free: int,
    severity: str,
) -> None:
    usage = SimpleNamespace(free=free)
    monkeypatch.setattr("services.preflight.space.shutil.disk_usage", lambda _path: usage)
    assert check(look(tmp_path, database(server18)), "working folder").severity == severity


def test_a_check_that_waits_for_a_lock_is_stopped_by_a_cancel_and_by_its_limit(
    server18: LocalServer, database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = database(server18, "CREATE TABLE a (i int)")
    installation = make_installation(tmp_path, url=address.url().get_secret_value())
    policy = installation.settings.databases[0]
    run = RecordingRun()
    with connect(address) as locker:
        # What a VACUUM FULL of the catalogue does: every question about tables waits for it.
        locker.execute("BEGIN; LOCK TABLE pg_catalog.pg_largeobject_metadata IN ACCESS EXCLUSIVE MODE")
        threading.Timer(1, run.cancel).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            preflight(installation, policy, run=run)
        assert time.monotonic() - began < 5

        monkeypatch.setattr(server, "QUERY_SECONDS", 1)
        waited = [c for c in preflight(installation, policy).checks if c.name == "connection"]
        locker.execute("ROLLBACK")
    found = [c for c in preflight(installation, policy).checks if c.name == "connection"]
    assert [c.severity for c in found] == ["ok"]
    assert [c.severity for c in waited] == ["ok", "blocking"]
    assert waited[1].message == "The server did not answer a question within 1 s."
    installation.close()


def test_room_counts_every_copy_that_is_there_and_no_other(
    server18: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    storage = StorageSettings(name="primary", url=f"file://{tmp_path / 'storage'}", limit_bytes=100_000_000)
    installation = with_history(tmp_path, database(server18), storages=(storage,))
    gone = past_backup(8_000_000, name="b2")
    gone = replace(gone, copies=(replace(gone.copies[0], state="deleted"),))
    damaged = past_backup(6_000_000, name="b3")
    damaged = replace(damaged, copies=(replace(damaged.copies[0], state="damaged"),))
    for backup in (gone, damaged):
        installation.catalog.backups.add(backup)
    found = check(preflight(installation, installation.settings.databases[0]), "storage primary")
    assert "95.0 MB left of limit_bytes" in found.message, found.message  # without 2 and 3 MB
    installation.close()


def test_a_standby_is_said() -> None:
    known: dict[str, Any] = {field.name: () for field in fields(facts.DatabaseFacts)}
    standby = facts.DatabaseFacts(**known | {"user": "u", "in_recovery": True})
    assert server._standby(standby).severity == "warning"
    assert server._standby(replace(standby, in_recovery=False)).severity == "ok"


def test_manifests_that_will_not_be_signed_are_a_warning(tmp_path: Path) -> None:
    nowhere = Address.parse("postgresql://app:x@127.0.0.1:1/orders")
    assert "signature" not in [c.name for c in look(tmp_path / "signed", nowhere).checks]
    found = check(look(tmp_path / "unsigned", nowhere, encryption_key=None), "signature")
    assert (found.severity, found.hint) == ("warning", "Set BACKUP_SIGNING_KEY.")
