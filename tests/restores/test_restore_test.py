"""The restore test against real servers: what passes, what fails and how it is named."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from services.errors import BackupsError, Cancelled, KeyMismatch
from services.postgres.connection import connect
from services.postgres.server import LocalServer
from services.restores.evidence import UnknownSigner
from services.stream.encryption import generate_key
from services.verification.levels import verify_backup
from tests.restores.conftest import NewLab
from tests.restores.lab import SCHEMA, Lab, leftovers, make_lab, on_server, report_of, scratch_databases
from tests.support.servers import NewDatabase


def test_a_whole_backup_passes_and_is_proven(lab: Lab, server18: LocalServer) -> None:
    backup = lab.back_up()
    verification = lab.verify(backup, "restore")
    assert verification.outcome == "passed", verification.reason
    report = report_of(verification)
    assert report.to_json() == verification.detail
    assert report.summary.startswith("4 tables, 2,300 rows: every count and hash equals the source at ")
    assert (report.way, report.server_version) == ("spooled", server18_version(server18))
    assert report.restore_seconds > 0
    assert report.rto_seconds == report.download_seconds + report.restore_seconds
    assert lab.again(backup).proven_at == verification.finished_at
    assert scratch_databases(server18.address) == []
    assert leftovers(lab) == []


def server18_version(server: LocalServer) -> str:
    with connect(server.address) as connection:
        return str(connection.info.parameter_status("server_version")).split()[0]


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (
            "UPDATE users SET name = 'somebody' WHERE id = 7",
            "table public.users: the count of 1,000 rows is equal, but",
        ),
        ("DELETE FROM audit_logs WHERE id = 7", "table public.audit_logs: 299 rows instead of 300"),
        ("INSERT INTO audit_logs (id, what) VALUES (999, 'x')", "table public.audit_logs: 301 rows instead of 300"),
        ("DROP INDEX users_name", "indexes: public.users_name: missing"),
        ("CREATE INDEX surplus ON users (data)", "indexes: public.surplus: not in the source"),
        (
            "CREATE OR REPLACE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 3'",
            "functions: public.twice(",
        ),
        ("SELECT setval('orders_id_seq', 400)", "sequence public.orders_id_seq: stands at 400 instead of 500"),
        ("DROP TABLE audit_logs", "table public.audit_logs: missing: the source had 300 rows"),
        ("CREATE TABLE surplus (x int)", "table public.surplus: not in the source"),
        ("ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey", "constraints: orders_user_id_fkey on public.orders"),
    ],
)
def test_whatever_differs_from_the_fingerprint_fails_and_is_named(
    lab: Lab, server18: LocalServer, spoil: str, named: str
) -> None:
    verification = lab.verify(lab.back_up(spoil=spoil), "restore")
    assert verification.outcome == "failed"
    comparison = report_of(verification).comparison
    assert comparison is not None
    assert any(difference.startswith(named) for difference in comparison.differences()), comparison.differences()
    assert "difference" in verification.reason
    assert scratch_databases(server18.address) == []


def test_a_failed_restore_test_withdraws_the_proof(lab: Lab) -> None:
    backup = lab.back_up()
    lab.verify(backup, "restore")
    lab.stored_file(backup).write_bytes(b"not what was stored")
    assert lab.verify(backup, "restore").outcome == "failed"
    assert lab.again(backup).proven_at is None
    assert lab.again(backup).is_good is False


def test_a_stale_materialized_view_is_no_difference(new_lab: NewLab) -> None:
    lab = new_lab(SCHEMA + "DELETE FROM orders WHERE id > 400;")
    verification = lab.verify(lab.back_up(), "restore")
    assert verification.outcome == "passed", verification.reason
    assert "computed anew: public.totals" in verification.reason


def test_tables_that_were_only_counted_are_named(lab: Lab) -> None:
    verification = lab.verify(lab.back_up(hash_limit=0), "restore")
    assert verification.outcome == "passed"
    assert "every count equals the source" in verification.reason
    assert "contents were not compared" in verification.reason


def test_without_a_fingerprint_nothing_is_proven(lab: Lab) -> None:
    backup = lab.back_up(fingerprint=False)
    verification = lab.verify(backup, "restore")
    assert verification.outcome == "not testable"
    assert "2,300 rows" in verification.reason
    assert lab.again(backup).proven_at is None


def test_an_extension_that_the_scratch_server_lacks_is_not_testable(
    server15: LocalServer, server18: LocalServer, new_lab: NewLab
) -> None:
    with connect(server15.address) as connection:
        extensions = {row[0] for row in connection.execute("SELECT name FROM pg_available_extensions")}
    with connect(server18.address) as connection:
        lacking = sorted(extensions - {r[0] for r in connection.execute("SELECT name FROM pg_available_extensions")})
    usable = [name for name in lacking if name in ("adminpack", "old_snapshot")]
    if not usable:
        pytest.skip("the newer server has every extension of the older one")
    lab = new_lab(f"CREATE EXTENSION {usable[0]}; CREATE TABLE t (x int)")
    backup = lab.back_up()
    verification = lab.verify(backup, "restore")
    assert verification.outcome == "not testable"
    assert usable[0] in verification.reason
    assert lab.again(backup).proven_at is None
    assert lab.again(backup).verification_passed is None
    assert scratch_databases(server18.address) == []


def test_a_scratch_server_older_than_the_source_is_not_testable(
    server15: LocalServer, server18: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    lab = make_lab(tmp_path, database(server18, "CREATE TABLE t (x int)"), **on_server(server15.address))
    verification = lab.verify(lab.back_up(), "restore")
    assert verification.outcome == "not testable"
    assert "PostgreSQL 15, older than the source's 18" in verification.reason


@pytest.mark.parametrize("encrypt", [True, False])
def test_damaged_bytes_fail_and_restore_nothing(lab: Lab, server18: LocalServer, encrypt: bool) -> None:
    backup = lab.back_up(encrypt=encrypt)
    file = lab.stored_file(backup)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    verification = lab.verify(backup, "restore")
    assert verification.outcome == "failed"
    assert report_of(verification).comparison is None
    assert scratch_databases(server18.address) == []


def test_a_missing_object_fails(lab: Lab) -> None:
    backup = lab.back_up()
    lab.stored_file(backup).unlink()
    assert lab.verify(backup, "restore").outcome == "failed"


def test_a_key_that_does_not_fit_is_said_and_condemns_nothing(lab: Lab) -> None:
    backup = lab.back_up()
    secret, public = generate_key()
    # The manifest stays believed: only the age key is another one.
    own = lab.with_settings(encryption_key=SecretStr(secret), trusted_signers=(signer(lab),))
    with pytest.raises(KeyMismatch, match=f"encrypted to {backup.recipients[0]}, this key is {public}"):
        own.verify(backup, "restore")
    assert lab.again(backup).verification_passed is None


def signer(lab: Lab) -> str:
    from services.backups.signing import public_key_text, signing_key

    key = signing_key(lab.installation.settings)
    assert key is not None
    return public_key_text(key.public_key())


def test_a_manifest_of_an_unknown_signer_is_neither_believed_nor_condemned(lab: Lab) -> None:
    backup = lab.back_up(encrypt=False)
    secret, _ = generate_key()
    elsewhere = lab.with_settings(encryption_key=SecretStr(secret))
    for level in ("stored", "checksum", "archive", "restore"):
        with pytest.raises(UnknownSigner, match="not trusted here"):
            elsewhere.verify(backup, level)
    assert lab.again(backup).verification_passed is None


def test_a_changed_manifest_is_never_restored(lab: Lab, server18: LocalServer) -> None:
    backup = lab.back_up()
    manifest = lab.manifest_file(backup)
    manifest.write_text(manifest.read_text().replace('"rows": 1000', '"rows": 1001'))
    verification = lab.verify(backup, "restore")
    assert verification.outcome == "failed"
    assert "has no valid signature" in verification.reason


def test_a_cancel_in_the_middle_drops_the_scratch_database(new_lab: NewLab, server18: LocalServer) -> None:
    lab = new_lab("CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 200000) i; CREATE INDEX ON t (md5)")
    backup = lab.back_up()
    with lab.run() as run:

        def cancel_once_it_is_there() -> None:
            deadline = time.monotonic() + 30
            while not scratch_databases(server18.address) and time.monotonic() < deadline:
                time.sleep(0.02)
            run.stop(Cancelled("Cancelled by a person."))

        canceller = threading.Thread(target=cancel_once_it_is_there)
        canceller.start()
        with pytest.raises(Cancelled):
            verify_backup(lab.installation, backup, "restore", None, run)
        canceller.join()
    assert scratch_databases(server18.address) == []
    assert leftovers(lab) == []
    assert lab.again(backup).verification_passed is None


def test_a_partial_backup_passes_and_says_that_it_is_partial(lab: Lab) -> None:
    verification = lab.verify(lab.back_up(exclude=("audit_*",)), "restore")
    assert verification.outcome == "passed", verification.reason
    assert verification.reason.startswith(
        "Partial backup (without audit_*): 3 tables, 2,000 rows: every count and hash"
    )


def test_what_depends_on_an_excluded_table_is_reported_and_fails_nothing(lab: Lab) -> None:
    verification = lab.verify(lab.back_up(exclude=("public.users",)), "restore")
    assert verification.outcome == "passed", verification.reason
    assert "not restorable without the excluded tables: " in verification.reason
    assert "public.big_orders" in verification.reason


def test_a_pg_restore_that_is_killed_ends_the_test_and_condemns_nothing(new_lab: NewLab, server18: LocalServer) -> None:
    """As the kernel does when memory is short, and as an operator may."""
    rows = "SELECT i, md5(i::text) FROM generate_series(1, 300000) i"
    lab = new_lab(f"CREATE TABLE t AS {rows}; CREATE TABLE u AS {rows}; CREATE INDEX ON t (md5)")
    backup = lab.back_up()
    assert lab.verify(backup, "checksum").outcome == "passed"
    before = lab.again(backup)
    ended = threading.Event()
    killed: list[int] = []

    def kill_once_it_restores() -> None:
        while not killed and not ended.wait(0.01):
            for child in psutil.Process().children():
                with suppress(psutil.Error):
                    if "--exit-on-error" in child.cmdline() and scratch_databases(server18.address):
                        os.kill(child.pid, signal.SIGKILL)
                        killed.append(child.pid)

    killer = threading.Thread(target=kill_once_it_restores)
    killer.start()
    try:
        with pytest.raises(BackupsError, match="ended by signal 9"):
            lab.verify(backup, "restore")
    finally:
        ended.set()
        killer.join()
    assert lab.again(backup) == before
    assert scratch_databases(server18.address) == []
    assert leftovers(lab) == []
