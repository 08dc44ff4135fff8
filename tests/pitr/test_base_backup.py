"""Base backups of real servers: what is recorded, what is found by their verification, what is refused."""

from __future__ import annotations

import io
import random
import tarfile
import time
from datetime import timedelta
from pathlib import Path

import pyrage
import pytest
import zstandard

from services import commands
from services.backups.rebuild import rebuild
from services.catalog.model import Backup, Run
from services.catalog.schema import backups
from services.catalog.slot_evidence import last_good_before, stored_backups
from services.catalog.summaries import days, last_good_backups
from services.errors import CorruptBackup, InputError
from services.health.queries import newest_backups
from services.installation import Installation
from services.janitor import sweep
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.overview import load_overview
from services.pitr.base_files import BaseFiles
from services.pitr.base_model import BaseBackup
from services.postgres.connection import connect
from services.postgres.server import LocalServer
from services.postgres.server_user import server_user
from services.retention.plans import load_plans
from services.settings.model import StorageSettings
from tests.pitr.lab import NAME, PointLab
from tests.support.installations import make_installation
from tests.support.servers import NewDatabase
from tests.support.stored import store_backup


def carried_out(installation: Installation, run_id: str) -> Run:
    return execute_run(installation, run_id, worker=process_identity())


def take_base(installation: Installation) -> Backup:
    run = carried_out(installation, commands.submit_base_backup(installation, "la_factoria", actor="t", queue=False))
    assert run.state == "finished", f"{run.error} {run.hint}"
    return installation.catalog.backups.get(run.backup_id or "")


def plain_tar(installation: Installation, backup: Backup) -> tarfile.TarFile:
    stored = Path(backup.copies[0].location.removeprefix("file://")).read_bytes()
    key = installation.settings.encryption_key
    assert key is not None
    opened = pyrage.decrypt(stored, [pyrage.x25519.Identity.from_str(key.get_secret_value())])
    return tarfile.open(fileobj=io.BytesIO(zstandard.ZstdDecompressor().stream_reader(opened).read()))


def test_a_base_backup_is_recorded_with_what_recovery_needs_and_every_file_is_checked(
    server15: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    source = database(server15, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
    installation = make_installation(tmp_path, url=source.url().get_secret_value())
    backup = take_base(installation)
    base = BaseBackup.of(backup)
    with connect(source) as connection:
        row = connection.execute(
            "SELECT system_identifier::text, timeline_id, pg_current_wal_lsn() - '0/0' FROM pg_control_system(), "
            "pg_control_checkpoint()"
        ).fetchone()
    assert row is not None
    assert (base.system_identifier, base.timeline) == row[:2]
    assert base.start_lsn < base.stop_lsn <= row[2]
    assert base.started_at < base.stopped_at
    assert (backup.type, backup.is_good, backup.is_sound) == ("base", False, True)
    assert backup.copies[0].key.endswith(".base.tar.zst.age")
    label = plain_tar(installation, backup).extractfile("backup_label")
    assert label is not None
    assert f"START TIMELINE: {base.timeline}" in label.read().decode()
    for level in ("checksum", "archive"):
        run_id = commands.submit_verification(installation, backup.id, level, actor="t", queue=False)
        run = carried_out(installation, run_id)
        assert run.result["outcome"] == "passed", run.result
    assert "files as PostgreSQL's backup manifest lists them" in run.result["reason"]
    installation.close()


def test_any_changed_byte_of_a_base_backup_is_found(
    server15: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    source = database(server15)
    installation = make_installation(
        tmp_path, url=source.url().get_secret_value(), database={"encrypt": False, "compression_level": 1}
    )
    backup = take_base(installation)
    base = BaseBackup.of(backup)
    stored = Path(backup.copies[0].location.removeprefix("file://"))
    plain = zstandard.ZstdDecompressor().stream_reader(stored.read_bytes()).read()
    whole = BaseFiles()
    whole.feed(plain)
    end = len(plain.rstrip(b"\0"))
    assert whole.finish(base.manifest_sha256).files > 900
    draw = random.Random(4)
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        places = [
            member.offset_data + draw.randrange(member.size)
            for member in draw.sample([member for member in tar.getmembers() if member.size], 5)
        ]
    for place in (*places, end - 20):
        changed = bytearray(plain)
        changed[place] ^= 1 << draw.randrange(8)
        files = BaseFiles()
        with pytest.raises(CorruptBackup):  # noqa: PT012 - whichever of the two sees it
            files.feed(bytes(changed))
            files.finish(base.manifest_sha256)
    data = bytearray(stored.read_bytes())
    data[draw.randrange(len(data))] ^= 1
    stored.write_bytes(data)
    for level in ("checksum", "archive"):
        run_id = commands.submit_verification(installation, backup.id, level, actor="t", queue=False)
        assert carried_out(installation, run_id).result["outcome"] == "failed"
    assert not installation.catalog.backups.get(backup.id).is_sound
    installation.close()


def test_a_base_backup_never_counts_as_a_backup_of_the_database_and_survives_the_loss_of_the_catalogue(
    server15: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    source = database(server15)
    installation = make_installation(tmp_path, url=source.url().get_secret_value())
    backup = take_base(installation)
    assert installation.catalog.backups.latest_good("la_factoria") is None
    assert load_overview(installation).statuses[0].state == "NEVER BACKED UP"
    assert sweep(installation, apply=False).orphans == []
    with installation.catalog.engine.begin() as connection:
        connection.execute(backups.delete())
    report = rebuild(installation)
    assert (report.backups, report.unreadable) == (1, [])
    found = installation.catalog.backups.get(backup.id)
    assert (found.physical, found.type, found.format) == (backup.physical, "base", "base-tar")
    assert BaseBackup.of(found).system_identifier
    installation.close()


def test_a_server_with_tablespaces_of_its_own_is_refused_by_name(
    server15: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    source = database(server15)
    place = server15.data_dir.parent / "fast_disk"
    place.mkdir()
    server_user().own(place)
    with connect(source) as connection:
        connection.execute(f"CREATE TABLESPACE fast LOCATION '{place}'".encode())
    try:
        installation = make_installation(tmp_path, url=source.url().get_secret_value())
        run_id = commands.submit_base_backup(installation, "la_factoria", actor="t", queue=False)
        run = carried_out(installation, run_id)
        assert (run.state, run.result["exit_code"]) == ("failed", 2)
        assert "tablespaces of its own (fast)" in run.error
        assert list((tmp_path / "storage" / "la_factoria").iterdir()) == []
        installation.close()
    finally:
        with connect(source) as connection:
            connection.execute("DROP TABLESPACE fast")


PHYSICAL = {
    "system_identifier": "7436158027694216193", "timeline": 1, "start_lsn": "0/2000028", "stop_lsn": "0/2000100",
    "segment_bytes": 1 << 24, "server_major": 18, "started_at": "2026-11-22T02:00:00.000Z",
    "stopped_at": "2026-11-22T02:00:11.000Z", "superuser": "postgres", "manifest_sha256": "0" * 64, "parent_id": None,
}  # fmt: skip


def test_a_base_backup_satisfies_no_slot_and_counts_in_no_figure(tmp_path: Path) -> None:
    installation = make_installation(tmp_path)
    now = installation.clock()
    key = "la_factoria/base_one.base.tar.zst.age"
    store_backup(
        installation, "base_one", at=now - timedelta(hours=1), type="base", key=key, physical=PHYSICAL,
        format="base-tar", verification_passed=True, verification_level="archive", verification_at=now,
    )  # fmt: skip
    engine, since = installation.catalog.engine, now - timedelta(days=1)
    assert last_good_before(engine, ["la_factoria"], now) == {}
    (judged,) = stored_backups(engine, {"la_factoria": since})["la_factoria"]
    assert judged.fault == "base"
    assert days(engine, since=since) == []
    assert last_good_backups(engine) == {}
    assert newest_backups(engine, ["la_factoria"]) == {}
    (kept,) = load_plans(installation)[0].kept
    assert kept.decision.reasons == ("base",)
    assert rebuild(installation).is_well
    installation.close()


def test_what_is_for_dumps_refuses_a_base_backup_and_says_what_is_right(
    server15: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    installation = make_installation(
        tmp_path,
        url=database(server15).url().get_secret_value(),
        storages=(
            StorageSettings(name="primary", url=f"file://{tmp_path / 'one'}"),
            StorageSettings(name="second", url=f"file://{tmp_path / 'two'}"),
        ),
        database={"storages": ("primary", "second")},
    )
    backup = take_base(installation)
    with pytest.raises(InputError, match="base backup") as caught:
        commands.submit_restore(installation, backup.id, "fresh", actor="t", queue=False)
    assert "pitr restore-test" in caught.value.hint
    with pytest.raises(InputError, match="base backup"):
        commands.submit_verification(installation, backup.id, "restore", actor="t", queue=False)
    run = carried_out(installation, commands.submit_copy(installation, backup.id, "second", actor="t", queue=False))
    assert run.state == "finished", run.error
    run_id = commands.submit_verification(installation, backup.id, "archive", storage="second", actor="t", queue=False)
    assert carried_out(installation, run_id).result["outcome"] == "passed"
    installation.close()


def test_a_server_whose_archiving_fails_is_refused_at_once_and_not_waited_for(tmp_path: Path) -> None:
    lab = PointLab(15, tmp_path)
    try:
        lab.sql("ALTER SYSTEM SET archive_command = 'false'", "SELECT pg_reload_conf()", "SELECT pg_switch_wal()")
        deadline = time.monotonic() + 90
        while not lab.sql("SELECT failed_count FROM pg_stat_archiver")[0]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        run = lab.run(commands.submit_base_backup(lab.inst, NAME, actor="t", queue=False))
        assert (run.state, run.result["exit_code"]) == ("failed", 1)
        assert "archive_command is failing" in run.error
    finally:
        lab.close()
