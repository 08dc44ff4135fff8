"""The restore test against real servers: what passes, what fails and how it is named."""

from __future__ import annotations

import shutil
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.catalog.model import Verification
from services.errors import Cancelled, ConnectionFailed, InputError, KeyMismatch, StorageFull
from services.postgres.connection import Address, connect
from services.postgres.server import LocalServer
from services.restores import spool
from services.restores.evidence import UnknownSigner
from services.restores.report import RestoreReport
from services.restores.scratch import TEST_PREFIX, drop_leftover_scratch_databases
from services.restores.scratch_server import embedded_server
from services.stream.encryption import generate_key
from services.verification.levels import verify_backup
from tests.restores.conftest import NewLab
from tests.restores.lab import SCHEMA, Lab, make_lab, on_server
from tests.support.servers import NewDatabase


def scratch_databases(server: Address) -> list[str]:
    with connect(server) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (TEST_PREFIX,))
        return [row[0] for row in rows]


def leftovers(lab: Lab) -> list[Path]:
    return list((lab.home / "spool").glob("*")) if (lab.home / "spool").exists() else []


def report_of(verification: Verification) -> RestoreReport:
    return RestoreReport.from_json(verification.detail)


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


def test_the_sources_own_server_is_refused(server15: LocalServer, database: NewDatabase, tmp_path: Path) -> None:
    lab = make_lab(tmp_path, database(server15, SCHEMA), **on_server(server15.address))
    backup = lab.back_up()
    with pytest.raises(InputError, match="source's own server") as refused:
        lab.verify(backup, "restore")
    assert "restore_test_on_source_server" in refused.value.hint


def test_the_sources_own_server_is_used_where_the_settings_allow_it(
    server15: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    allowed = {"database": {"restore_test_on_source_server": True}}
    lab = make_lab(tmp_path, database(server15, SCHEMA), **on_server(server15.address), **allowed)
    assert lab.verify(lab.back_up(), "restore").outcome == "passed"


def test_without_a_server_in_the_settings_the_embedded_one_is_used_and_stopped(new_lab: NewLab) -> None:
    lab = new_lab(restore_test_url=None)
    server = embedded_server(lab.home)
    try:
        verification = lab.verify(lab.back_up(), "restore")
        assert verification.outcome == "passed"
        assert report_of(verification).server == "embedded"
        assert not server.running
    finally:
        server.destroy()


def test_a_scratch_server_that_is_away_condemns_nothing(new_lab: NewLab) -> None:
    lab = new_lab(restore_test_url=SecretStr("postgresql://postgres@127.0.0.1:1/postgres"))
    backup = lab.back_up()
    with pytest.raises(ConnectionFailed):
        lab.verify(backup, "restore")
    assert lab.again(backup).verification_passed is None


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


def test_without_room_for_the_dump_it_is_streamed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, free=1000)
    verification = lab.verify(lab.back_up(), "restore")
    assert verification.outcome == "passed", verification.reason
    report = report_of(verification)
    assert (report.way, report.jobs, report.download_seconds) == ("streamed", 1, 0.0)


def test_a_streamed_backup_that_is_damaged_fails(
    lab: Lab, server18: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, free=1000)
    backup = lab.back_up()
    file = lab.stored_file(backup)
    file.write_bytes(file.read_bytes()[:-20])
    assert lab.verify(backup, "restore").outcome == "failed"
    assert scratch_databases(server18.address) == []


def test_a_disk_too_small_for_the_restored_database_condemns_nothing(
    new_lab: NewLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = new_lab(restore_test_url=None)
    backup = lab.back_up()
    fill_disk(monkeypatch, free=1000)
    try:
        with pytest.raises(StorageFull, match="needs"):
            lab.verify(backup, "restore")
    finally:
        embedded_server(lab.home).destroy()
    assert lab.again(backup).verification_passed is None


def fill_disk(monkeypatch: pytest.MonkeyPatch, *, free: int) -> None:
    """Have every disk report this many free bytes, as a full one does."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(spool.shutil, "disk_usage", lambda _: usage(10**9, 10**9 - free, free))
    assert shutil.disk_usage("/").free == free


def test_the_spool_is_closed_to_others(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    from services.restores import perform

    real = perform.restore_archive

    def look(client: object, address: object, archive: Path, **rest: object) -> None:
        seen.append((archive.stat().st_mode & 0o777, archive.parent.stat().st_mode & 0o777))
        real(client, address, archive, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(perform, "restore_archive", look)
    assert lab.verify(lab.back_up(), "restore").outcome == "passed"
    assert seen == [(0o600, 0o700)]


def test_leftover_databases_of_ended_runs_are_dropped_and_others_stay(lab: Lab, server18: LocalServer) -> None:
    with lab.run() as ended:
        pass
    with lab.run() as active:
        names = [f"{TEST_PREFIX}{run_id}" for run_id in (ended.run_id, active.run_id, "of_another_installation")]
        with connect(server18.address) as connection:
            for name in names:
                connection.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            dropped = drop_leftover_scratch_databases(lab.installation)
            assert [name.rpartition("/")[2] for name in dropped] == names[:1]
            assert set(scratch_databases(server18.address)) == set(names[1:])
        finally:
            with connect(server18.address) as connection:
                for name in names:
                    connection.execute(f'DROP DATABASE IF EXISTS "{name}"'.encode())


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
