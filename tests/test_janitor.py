"""The janitor removes what is ours, left behind and old; and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.backups.manifest import to_document, write_manifest
from services.errors import StorageFull
from services.installation import Installation
from services.janitor import GRACE, JanitorReport, sweep
from services.settings.model import StorageSettings
from tests.catalog.rows import make_backup
from tests.support.installations import make_installation
from tests.support.run_context import RecordingRun

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
OLD = NOW - GRACE - timedelta(seconds=1)
YOUNG = NOW - GRACE + timedelta(seconds=1)
ORPHAN = "la_factoria/orphan.dump.zst.age"


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    opened = make_installation(tmp_path, clock=lambda: NOW)
    (tmp_path / "storage").mkdir(exist_ok=True)
    yield opened
    opened.close()


def put(inst: Installation, key: str, *, at: datetime = OLD) -> Path:
    """Store an object that was last changed at ``at``."""
    inst.storage("primary").put(key, b"x")
    path = inst.settings.home / "storage" / key
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


def upload(inst: Installation, key: str, *, at: datetime = OLD) -> Path:
    """Leave behind what a killed process leaves of an upload."""
    path = inst.settings.home / "storage" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{hashlib.md5(key.encode()).hexdigest()}.partial")
    partial.write_bytes(b"half")
    os.utime(partial, (at.timestamp(), at.timestamp()))
    return partial


def removed(report: JanitorReport) -> set[str]:
    return {where.partition("/storage/")[2].partition(" ")[0] for where in report.removed}


def test_old_leftovers_are_removed_with_apply_and_only_listed_without(installation: Installation) -> None:
    files = [put(installation, ORPHAN), upload(installation, "la_factoria/begun.dump.zst")]
    looked = sweep(installation, apply=False)
    assert (len(looked.orphans), len(looked.unfinished_uploads), looked.removed) == (1, 1, [])
    assert all(file.exists() for file in files)
    run = RecordingRun()
    report = sweep(installation, apply=True, run=run)
    assert removed(report) == {ORPHAN, "la_factoria/begun.dump.zst"}
    assert (report.removed_bytes, report.failed) == (1, [])
    assert not any(file.exists() for file in files)
    assert len(run.lines) == 2


def test_what_is_younger_than_a_day_stays(installation: Installation) -> None:
    files = [put(installation, ORPHAN, at=YOUNG), upload(installation, "la_factoria/begun.dump.zst.age", at=YOUNG)]
    report = sweep(installation, apply=True)
    assert (len(report.orphans), len(report.unfinished_uploads), report.removed) == (1, 1, [])
    assert all(file.exists() for file in files)


def test_what_an_active_run_works_on_is_not_even_listed(installation: Installation) -> None:
    runs = installation.catalog.runs
    run = runs.add(kind="backup", database="la_factoria", actor="ada", reason="", params={}, now=NOW)
    runs.claim(run.id, worker="host:1", now=NOW)
    runs.add_leftover(run.id, {"kind": "object", "storage": "primary", "key": ORPHAN})
    begun = "la_factoria/begun.dump.zst"
    runs.add_leftover(run.id, {"kind": "object", "storage": "primary", "key": begun})
    files = [put(installation, ORPHAN), upload(installation, begun)]
    report = sweep(installation, apply=True)
    assert (report.orphans, report.unfinished_uploads, report.removed) == ([], [], [])
    assert all(file.exists() for file in files)


FOREIGN = [
    "somebody/else.dump.zst.age",
    "la_factoria/plain.dump",
    "la_factoria/zipped.dump.gz",
    "la_factoria/zipped.dump.gz.age",
    "la_factoria/deeper/x.dump.zst.age",
    "la_factoria/with space.dump.zst",
    "la_factoria/-dash.dump.zst",
    "la_factoria/a..b.dump.zst",
    "la_factoria/x.dump.zst.age.bak",
    "prefix/la_factoria/x.dump.zst",
    "x.dump.zst.age",
]


def test_files_of_other_tools_are_neither_listed_nor_touched(installation: Installation) -> None:
    files = [put(installation, key) for key in FOREIGN] + [upload(installation, key) for key in FOREIGN]
    report = sweep(installation, apply=True)
    assert (report.orphans, report.unfinished_uploads, report.removed, report.failed) == ([], [], [], [])
    assert all(file.exists() for file in files)


def test_a_backup_with_its_manifest_stays_whoever_signed_it(installation: Installation, tmp_path: Path) -> None:
    backup = make_backup("kept")
    file = put(installation, backup.copies[0].key)
    document = to_document(backup, None)
    write_manifest(installation.settings, installation.storage("primary"), document)
    other = make_backup("theirs", id="theirs")
    theirs = put(installation, other.copies[0].key)
    installation.storage("primary").put(
        "la_factoria/theirs.manifest.json", json.dumps(to_document(other, None)).encode()
    )
    put(installation, ORPHAN)
    assert removed(sweep(installation, apply=True)) == {ORPHAN}
    assert file.exists()
    assert theirs.exists()


@pytest.mark.parametrize("content", [b"{", b'{"manifest_version": 2}', b""])
def test_a_manifest_that_cannot_be_read_protects_everything_beside_it(
    installation: Installation, content: bytes
) -> None:
    files = [
        put(installation, ORPHAN),
        put(installation, "la_factoria/odd.dump.zst.age"),
        upload(installation, "la_factoria/begun.dump.zst"),
    ]
    installation.storage("primary").put("la_factoria/odd.manifest.json", content)
    report = sweep(installation, apply=True)
    assert (report.orphans, report.unfinished_uploads, report.removed) == ([], [], [])
    assert all(file.exists() for file in files)
    assert len(report.failed) == 1
    assert "Nothing of la_factoria in primary is removed" in report.failed[0]


def test_a_manifest_of_somebody_elses_does_not_keep_our_leftovers(installation: Installation) -> None:
    put(installation, ORPHAN)
    installation.storage("primary").put("elsewhere/odd.manifest.json", b"{")
    report = sweep(installation, apply=True)
    assert removed(report) == {ORPHAN}
    assert report.failed == []


def test_what_cannot_be_removed_is_said_and_the_rest_goes(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, goes = put(installation, ORPHAN), put(installation, "la_factoria/second.dump.zst")
    storage = installation.storage("primary")
    delete = storage.delete

    def refuse(key: str) -> None:
        if key == ORPHAN:
            raise StorageFull("No.")
        delete(key)

    monkeypatch.setattr(storage, "delete", refuse)
    report = sweep(installation, apply=True)
    assert removed(report) == {"la_factoria/second.dump.zst"}
    assert len(report.failed) == 1
    assert stays.exists()
    assert not goes.exists()


def test_a_backup_of_a_database_that_is_not_configured_any_more_is_left_alone(installation: Installation) -> None:
    database = installation.settings.databases[0].model_copy(update={"name": "renamed"})
    file = put(installation, ORPHAN)
    other = Installation(
        installation.settings.model_copy(update={"databases": (database,)}), installation.catalog, lambda: NOW
    )
    assert sweep(other, apply=True).orphans == []
    assert file.exists()


def _with_second(installation: Installation, tmp_path: Path) -> Installation:
    second = StorageSettings(name="second", url=f"file://{tmp_path / 'second'}")
    (tmp_path / "second").mkdir(exist_ok=True)
    settings = installation.settings.model_copy(update={"storages": (*installation.settings.storages, second)})
    return Installation(settings, installation.catalog, lambda: NOW)


def test_what_is_left_of_a_copy_goes_and_a_finished_copy_stays(installation: Installation, tmp_path: Path) -> None:
    """In the second storage as in the first: a manifest in one speaks for nothing in the other."""
    inst = _with_second(installation, tmp_path)
    kept, begun = make_backup("kept"), make_backup("begun")
    for backup in (kept, begun):
        put(inst, backup.copies[0].key)
        write_manifest(inst.settings, inst.storage("primary"), to_document(backup, None))
        path = tmp_path / "second" / backup.copies[0].key
        inst.storage("second").put(backup.copies[0].key, b"x")
        os.utime(path, (OLD.timestamp(), OLD.timestamp()))
    write_manifest(inst.settings, inst.storage("second"), to_document(kept, None))
    report = sweep(inst, apply=True)
    assert report.removed == [f"file://{tmp_path}/second/{begun.copies[0].key}"]
    assert (tmp_path / "second" / kept.copies[0].key).exists()
    assert (tmp_path / "storage" / begun.copies[0].key).exists()


def test_what_a_copy_run_is_writing_now_is_not_even_listed(installation: Installation, tmp_path: Path) -> None:
    inst = _with_second(installation, tmp_path)
    runs = inst.catalog.runs
    run = runs.add(kind="copy", database="la_factoria", actor="ada", reason="", params={}, now=NOW)
    runs.claim(run.id, worker="host:1", now=NOW)
    runs.add_leftover(run.id, {"kind": "object", "storage": "second", "key": ORPHAN, "manifest": "m", "backup": "b"})
    inst.storage("second").put(ORPHAN, b"x")
    path = tmp_path / "second" / ORPHAN
    os.utime(path, (OLD.timestamp(), OLD.timestamp()))
    assert sweep(inst, apply=True).orphans == []
    assert path.exists()
