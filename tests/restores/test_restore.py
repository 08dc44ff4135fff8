"""Real restores: into a new database only, whole or not at all."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg import sql
from pydantic import SecretStr

from services.errors import (
    AlreadyExists,
    Cancelled,
    ConnectionFailed,
    CorruptBackup,
    InvalidName,
    KeyMismatch,
    UntrustedManifest,
)
from services.postgres.connection import Address, connect
from services.postgres.fingerprint_model import Fingerprint
from services.postgres.server import LocalServer
from services.restores import proof
from services.restores.compare_databases import compare_databases
from services.restores.report import RestoreReport
from services.restores.restore import restore_backup
from services.restores.scratch import RESTORE_PREFIX
from services.stream.encryption import generate_key
from tests.restores.conftest import NewLab
from tests.restores.lab import SCHEMA, Lab
from tests.support.servers import NewDatabase, drop_database

TARGET = "restored-by_test"


def names(server: Address) -> set[str]:
    with connect(server) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


@contextmanager
def kept_clean(server: Address) -> Iterator[None]:
    """Nothing but the target may be on the server afterwards that was not there before."""
    before = names(server)
    try:
        yield
        assert names(server) - before - {TARGET} == set()
    finally:
        drop_database(server.with_database(TARGET))


def restore(lab: Lab, backup_name: str = "one", target: str = TARGET, server: Address | None = None) -> RestoreReport:
    backup = lab.installation.catalog.backups.find(backup_name)
    url = server.url().get_secret_value() if server else None
    with lab.run("restore") as run:
        return restore_backup(lab.installation, backup, target, run, server_url=url)


def test_a_restore_makes_a_new_database_equal_to_the_source(lab: Lab) -> None:
    lab.back_up()
    with kept_clean(lab.source):
        report = restore(lab)
        assert report.outcome == "passed"
        assert "every count and hash equals the source" in report.summary
        assert RestoreReport.from_json(report.to_json()).to_json() == report.to_json()
        target = lab.source.with_database(TARGET)
        same = compare_databases(lab.source.url().get_secret_value(), target.url().get_secret_value())
        assert same.is_equal, same.differences()
        with connect(target) as connection:
            analyzed = connection.execute("SELECT count(*) FROM pg_stats WHERE tablename = 'users'").fetchone()
        assert analyzed is not None
        assert analyzed[0] > 0


def test_a_restore_onto_another_server_goes_there(lab: Lab, server18: LocalServer) -> None:
    lab.back_up()
    with kept_clean(server18.address):
        report = restore(lab, server=server18.address)
        assert report.server_version.startswith("18")
        assert TARGET in names(server18.address)
        assert TARGET not in names(lab.source)


def test_a_lost_source_database_can_be_restored_beside_its_place(lab: Lab) -> None:
    lab.back_up()
    drop_database(lab.source)
    with kept_clean(lab.source.with_database("postgres")):
        assert restore(lab).outcome == "passed"


def test_a_target_that_exists_is_refused_and_not_touched(lab: Lab) -> None:
    lab.back_up()
    with connect(lab.source) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TARGET)))
    with connect(lab.source.with_database(TARGET)) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 1 AS x")
    with kept_clean(lab.source):
        with pytest.raises(AlreadyExists, match="was not touched"):
            restore(lab)
        with connect(lab.source.with_database(TARGET)) as connection:
            assert connection.execute("SELECT x FROM mine").fetchall() == [(1,)]
            count = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert count == (1,)


@pytest.mark.parametrize("target", ["", "a b", "../x", 'quo"te', "ümlaut", "x" * 64, "restore_test_x", "restoring_x"])
def test_a_target_name_that_breaks_the_rule_is_refused(lab: Lab, target: str) -> None:
    lab.back_up()
    with kept_clean(lab.source), pytest.raises(InvalidName, match="cannot be called") as refused:
        restore(lab, target=target)
    assert "1 to 63 letters" in refused.value.hint


def test_an_untrusted_manifest_is_never_restored(lab: Lab) -> None:
    backup = lab.back_up()
    manifest = lab.manifest_file(backup)
    manifest.write_text(manifest.read_text().replace('"note": ""', '"note": "changed"'))
    with kept_clean(lab.source), pytest.raises(UntrustedManifest):
        restore(lab)


def test_a_damaged_backup_leaves_no_target(lab: Lab) -> None:
    backup = lab.back_up()
    file = lab.stored_file(backup)
    file.write_bytes(file.read_bytes()[:-1])
    with kept_clean(lab.source):
        with pytest.raises(CorruptBackup):
            restore(lab)
        assert TARGET not in names(lab.source)


def test_a_wrong_key_leaves_no_target(lab: Lab) -> None:
    backup = lab.back_up(encrypt=True)
    secret, public = generate_key()
    with kept_clean(lab.source), pytest.raises(KeyMismatch, match=f"{backup.recipients[0]}, this key is {public}"):
        restore(lab.with_settings(encryption_key=SecretStr(secret)))


def test_data_that_differ_are_restored_and_said(lab: Lab) -> None:
    lab.back_up(spoil="DELETE FROM audit_logs WHERE id = 1")
    with kept_clean(lab.source):
        report = restore(lab)
        assert report.outcome == "failed"
        assert "299 rows instead of 300" in report.summary
        assert TARGET in names(lab.source)


def test_a_cancelled_restore_leaves_nothing(new_lab: NewLab) -> None:
    lab = new_lab("CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 200000) i; CREATE INDEX ON t (md5)")
    backup = lab.back_up()
    with kept_clean(lab.source), lab.run("restore") as run:

        def cancel_once_it_is_there() -> None:
            deadline = time.monotonic() + 30
            while not any(n.startswith(RESTORE_PREFIX) for n in names(lab.source)) and time.monotonic() < deadline:
                time.sleep(0.02)
            run.stop(Cancelled("Cancelled by a person."))

        canceller = threading.Thread(target=cancel_once_it_is_there)
        canceller.start()
        with pytest.raises(Cancelled):
            restore_backup(lab.installation, backup, TARGET, run, server_url=None)
        canceller.join()
        assert TARGET not in names(lab.source)


def test_a_restore_beyond_utf8_keeps_its_encoding(
    server15: LocalServer, new_lab: NewLab, database: NewDatabase
) -> None:
    lab = new_lab("")
    name = lab.source.dbname
    with connect(server15.address) as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'").format(
                sql.Identifier(name)
            )
        )
    with connect(lab.source) as connection:
        connection.execute("CREATE TABLE t AS SELECT 'Grüße' AS x")
    lab.back_up()
    with kept_clean(lab.source):
        report = restore(lab)
        assert report.outcome == "passed", report.summary
        assert report.notes == ()
        with connect(lab.source.with_database(TARGET)) as connection:
            encoding = connection.execute("SHOW server_encoding").fetchone()
        assert encoding == ("LATIN1",)


def test_two_databases_that_differ_are_compared_by_name(
    server15: LocalServer, server18: LocalServer, database: NewDatabase
) -> None:
    left = database(server15, SCHEMA)
    right = database(server18, SCHEMA + "UPDATE orders SET amount = 0 WHERE id = 3;")
    found = compare_databases(left.url().get_secret_value(), right.url().get_secret_value())
    assert [d.split(":")[0] for d in found.differences()] == ["table public.orders"]


def test_a_comparison_that_cannot_be_made_takes_no_restored_database_away(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role of the restore may read less than it restored, or the server may be too busy to be read."""
    lab.back_up()

    def fail(*_: object, **__: object) -> None:
        raise ConnectionFailed("The server has no free connection.", hint="Close idle sessions.")

    monkeypatch.setattr(proof, "take_fingerprint", fail)
    with kept_clean(lab.source):
        report = restore(lab)
        assert report.outcome == "not compared"
        assert report.comparison is None
        assert "no free connection" in report.summary
        assert RestoreReport.from_json(report.to_json()).to_json() == report.to_json()
        with connect(lab.source.with_database(TARGET)) as connection:
            assert connection.execute("SELECT count(*) FROM users").fetchone() == (1000,)


REFUSING_STATISTICS = """
CREATE FUNCTION broken(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
  IF current_setting('application_name') = 'backups analyze' THEN RAISE 'no statistics'; END IF;
  RETURN $1;
END$$;
CREATE INDEX ON orders (broken(id));
"""


def test_statistics_that_cannot_be_taken_are_a_note(new_lab: NewLab) -> None:
    lab = new_lab(SCHEMA + REFUSING_STATISTICS)
    lab.back_up()
    with kept_clean(lab.source):
        report = restore(lab)
        assert report.outcome == "passed", report.summary
        assert len(report.notes) == 1
        assert "ANALYZE did not end: no statistics" in report.notes[0]
        assert TARGET in names(lab.source)


def test_a_cancel_during_the_comparison_leaves_the_target_and_says_so(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = lab.back_up()
    with kept_clean(lab.source), lab.run("restore") as run:
        take = proof.take_fingerprint

        def cancel_first(*args: Any, **rest: Any) -> Fingerprint:
            run.stop(Cancelled("Cancelled by a person."))
            return take(*args, **rest)

        monkeypatch.setattr(proof, "take_fingerprint", cancel_first)
        with pytest.raises(Cancelled):
            restore_backup(lab.installation, backup, TARGET, run, server_url=None)
        assert TARGET in names(lab.source)
    log = [line.message for line in lab.installation.catalog.runs.log(run.run_id)]
    assert f"{TARGET} is restored and stays; it was not compared." in log


def test_a_backup_made_without_a_signing_key_is_tested_when_the_key_arrives(lab: Lab) -> None:
    backup = lab.with_settings(encryption_key=None).back_up()
    assert backup.trust == "unsigned"
    found = lab.verify(backup, "checksum")
    assert found.outcome == "passed", found.reason
    [run] = lab.installation.catalog.runs.list(kind="verification")
    log = lab.installation.catalog.runs.log(run.id)
    assert any("never signed" in line.message for line in log)


def test_a_signature_that_was_stripped_is_never_restored(lab: Lab) -> None:
    backup = lab.back_up()
    manifest = lab.manifest_file(backup)
    document = json.loads(manifest.read_text())
    del document["signature"]
    manifest.write_text(json.dumps(document))
    with kept_clean(lab.source), pytest.raises(UntrustedManifest, match="has lost its signature"):
        restore(lab)
