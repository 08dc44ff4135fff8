"""A parallel backup: made, read to its end, restored and compared, and found out when anything of it is changed."""

from __future__ import annotations

import hashlib
import random
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard

from services import commands
from services.backups import fingerprint_beside
from services.backups.create import create_backup
from services.backups.manifest import read_manifest, to_document, write_manifest
from services.backups.naming import manifest_key
from services.backups.request import BackupRequest
from services.catalog.model import Backup
from services.errors import CorruptBackup, Deadlocked
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.postgres.connection import Address, connect
from services.postgres.fingerprint import APPLICATION
from services.postgres.fingerprint_model import Fingerprint
from services.postgres.restore import restore_archive
from services.restores import perform
from services.restores.directory import FolderSink
from services.settings.model import StorageSettings
from services.stream.tar_read import Listing, TarUnpacker
from services.stream.tar_write import BLOCK, END, TOC, ZSTD, Member, TarSource, header
from services.stream.write import write_stream
from services.verification.levels import examine, verify_backup
from tests.large.conftest import NewLab, back_up
from tests.restores.lab import Lab, leftovers
from tests.support.damage import changed_at_random
from tests.support.run_context import RecordingRun

SMALL = """
CREATE TABLE words (i int, word text);
INSERT INTO words VALUES (1, 'one'), (2, 'two'), (3, E'a line\\nand \\\\.');
CREATE TABLE empty (i int);
"""


def test_sessions_of_pg_restore_that_deadlock_condemn_no_backup(
    new_lab: NewLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = new_lab()
    backup = back_up(lab)
    asked: list[int] = []

    def restore(*args: Any, jobs: int, **options: Any) -> None:
        asked.append(jobs)
        restore_archive(*args, jobs=jobs, **options)
        if len(asked) == 1:  # all is there, and yet it begins anew
            raise Deadlocked("pg_restore ended with status 1: ERROR:  deadlock detected")

    monkeypatch.setattr(perform, "restore_archive", restore)
    verification = lab.verify(backup, "restore")
    assert (verification.outcome, asked[-1], verification.detail["jobs"]) == ("passed", 1, 1), verification.reason
    assert leftovers(lab) == []


@pytest.mark.parametrize("encrypt", [True, False], ids=["encrypted", "plain"])
def test_a_parallel_backup_is_proven_by_a_restore_test(new_lab: NewLab, encrypt: bool) -> None:
    lab = new_lab()
    backup = back_up(lab, encrypt=encrypt)
    assert (backup.format, backup.compression) == ("directory", "zstd")
    assert backup.copies[0].key.endswith(".dump.tar.age" if encrypt else ".dump.tar")
    assert leftovers(lab) == []
    for level in ("stored", "checksum", "archive", "restore"):
        verification = lab.verify(backup, level)
        assert verification.outcome == "passed", verification.reason
    assert lab.again(backup).proven_at is not None
    assert leftovers(lab) == []
    if not encrypt:
        with tarfile.open(lab.stored_file(backup)) as archive:
            names = archive.getnames()
        assert names[0] == "toc.dat"
        assert all(name.endswith(".zst") for name in names[1:])


@pytest.mark.parametrize("encrypt", [True, False], ids=["encrypted", "plain"])
def test_of_500_random_changes_none_passes(new_lab: NewLab, encrypt: bool) -> None:
    lab = new_lab(SMALL)
    backup = back_up(lab, encrypt=encrypt)
    file = lab.stored_file(backup)
    whole = file.read_bytes()
    chance = random.Random(2026)
    with lab.run("verification") as run:
        for _ in range(250):
            file.write_bytes(changed_at_random(whole, chance, block=BLOCK))
            for level in ("checksum", "archive"):
                finding = examine(lab.installation, backup, level, backup.copies[0], run)
                assert finding.outcome == "failed", (level, finding.reason)
        file.write_bytes(whole)
        assert examine(lab.installation, backup, "archive", backup.copies[0], run).outcome == "passed"


def repacked(lab: Lab, backup: Backup, change: Callable[[dict[str, bytes]], None]) -> Backup:
    """Store the dump anew with its files changed, every hash of the manifest that of the changed ones."""
    files: dict[str, bytes] = {}
    with tarfile.open(lab.stored_file(backup)) as archive:
        for member in archive.getmembers():
            content = archive.extractfile(member)
            assert content is not None
            data = content.read()
            plain = zstandard.ZstdDecompressor().decompressobj().decompress(data) if member.name != TOC else data
            files[member.name.removesuffix(ZSTD)] = plain
    change(files)
    listing, members = Listing(), []
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    for name, plain in files.items():
        path = lab.home / name
        path.write_bytes(plain if name == TOC else compressor.compress(plain))
        digest = hashlib.sha256(plain).hexdigest()
        listing.add(name, len(plain), digest)
        packed_name = name if name == TOC else name + ZSTD
        members.append(Member(packed_name, path, path.stat().st_size, len(plain), digest))
    storage = lab.installation.storage("primary")
    storage.delete(backup.copies[0].key)
    writer = storage.writer(backup.copies[0].key)
    stream = write_stream(TarSource(members), writer, level=0, recipients=(), run=RecordingRun())
    stored = writer.commit()
    changed = replace(
        backup,
        plain_bytes=listing.bytes, plain_sha256=listing.sha256, stored_bytes=stored.bytes, sha256=stream.stored_sha256,
        copies=(replace(backup.copies[0], bytes=stored.bytes),),
    )  # fmt: skip
    key = manifest_key(backup.database, backup.name)
    fingerprint = read_manifest(lab.installation.settings, storage, key).fingerprint
    write_manifest(lab.installation.settings, storage, to_document(changed, fingerprint))
    return changed


def data_file(files: dict[str, bytes]) -> str:
    return next(name for name, plain in files.items() if plain.startswith(b"1\tone"))


def lose_a_row(files: dict[str, bytes]) -> None:
    name = data_file(files)
    files[name] = files[name].replace(b"2\ttwo\n", b"")


def lose_the_end(files: dict[str, bytes]) -> None:
    name = data_file(files)
    files[name] = files[name].removesuffix(b"\\.\n\n\n")


def lose_a_file(files: dict[str, bytes]) -> None:
    del files[data_file(files)]


def add_a_file(files: dict[str, bytes]) -> None:
    files["99999.dat"] = b"\\.\n\n\n"


def cut_the_toc(files: dict[str, bytes]) -> None:
    files[TOC] = files[TOC][:-40]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lose_a_row, "public.words has 2 rows instead of 3"),
        (lose_the_end, "the data of public.words is cut"),
        (lose_a_file, "is missing"),
        (add_a_file, "99999.dat belongs to nothing"),
        (cut_the_toc, "table of contents cannot be read"),
    ],
)
def test_what_the_hashes_cannot_tell_the_level_archive_finds(
    new_lab: NewLab, change: Callable[[dict[str, bytes]], None], words: str
) -> None:
    """A dump that was wrong from the first: its bytes are as recorded, and its files are not those of a whole dump."""
    lab = new_lab(SMALL)
    backup = back_up(lab, encrypt=False)
    lab.installation.catalog.backups.add(repacked(lab, backup, lambda _: None))
    assert lab.verify(backup, "archive").outcome == "passed"
    changed = repacked(lab, backup, change)
    lab.installation.catalog.backups.add(changed)
    assert lab.verify(changed, "checksum").outcome == "passed"
    verification = lab.verify(changed, "archive")
    assert verification.outcome == "failed"
    assert words in verification.reason


@pytest.mark.parametrize("name", ["../out.dat.zst", "a/b.dat.zst", "toc.dat", "x.exe", ".dat.zst"])
def test_an_archive_that_holds_anything_but_files_of_a_dump_is_refused(tmp_path: Path, name: str) -> None:
    for kind in (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE):
        info = tarfile.TarInfo(name)
        info.type = kind
        data = header(TOC, 0) + info.tobuf(tarfile.GNU_FORMAT) + END
        folder = tmp_path / f"dump-{kind.decode()}"
        with pytest.raises(CorruptBackup), FolderSink(folder) as sink:
            TarUnpacker(sink).feed(data)
        assert [path.name for path in folder.iterdir()] == [TOC]
    assert sorted(path.name[:5] for path in tmp_path.iterdir()) == ["dump-"] * 3


def test_a_file_larger_than_8_gigabytes_has_one_header() -> None:
    block = header("1.dat.zst", 9 * 10**9)
    assert len(block) == BLOCK
    assert tarfile.TarInfo.frombuf(block, "ascii", "strict").size == 9 * 10**9


def test_a_fingerprint_that_takes_longer_than_a_run_may_stand_still_is_waited_for(
    new_lab: NewLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parallel dump is done before the fingerprint: its session works, and that is progress."""
    lab = new_lab(SMALL, database={"stall_timeout": timedelta(seconds=2)})
    take = fingerprint_beside.take_fingerprint

    def slowly(address: Address, **options: Any) -> Fingerprint:
        with connect(address, application_name=APPLICATION) as connection:
            connection.execute("SELECT pg_sleep(4)")
        return take(address, **options)

    monkeypatch.setattr(fingerprint_beside, "take_fingerprint", slowly)
    run_id = commands.submit_backup(lab.installation, BackupRequest("la_factoria", jobs=2), actor="t", queue=False)
    run = execute_run(lab.installation, run_id, worker=process_identity())
    assert run.state == "finished", run.error


def test_a_parallel_backup_is_written_into_several_storages_at_once(new_lab: NewLab, tmp_path: Path) -> None:
    """As an emergency backup is."""
    places = tuple(StorageSettings(name=name, url=f"file://{tmp_path / name}") for name in ("storage", "second"))
    lab = new_lab(SMALL, storages=places, database={"storages": ("storage", "second")})
    with lab.run("backup") as run:
        backup = create_backup(
            lab.installation, BackupRequest("la_factoria", jobs=2, type="emergency"), run, further=["second"]
        )
    assert {copy.storage: copy.state for copy in backup.copies} == {"storage": "stored", "second": "stored"}
    for copy in backup.copies:
        with lab.run("verification") as run:
            assert verify_backup(lab.installation, backup, "archive", copy.storage, run).outcome == "passed"
