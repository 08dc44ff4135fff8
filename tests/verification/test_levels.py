"""The levels stored, checksum and archive: what passes, what condemns the backup, and what only ends the attempt."""

from __future__ import annotations

import json
import os
import random
import re
import signal
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from services.backups.rebuild import rebuild
from services.backups.signing import check_document
from services.catalog.model import Backup
from services.errors import BackupsError, Cancelled, InputError, KeyMismatch, StorageError, UnknownName
from services.postgres.restore import ChildSink
from services.storage.local import LocalStorage
from services.stream.encryption import generate_key
from services.verification.levels import examine, verify_backup
from services.verification.record import record_key
from tests.restores.lab import Lab
from tests.support.damage import changed_at_random

SHALLOW = ("stored", "checksum", "archive")


@pytest.mark.parametrize("encrypt", [True, False])
@pytest.mark.parametrize("level", SHALLOW)
def test_a_whole_backup_passes_each_level(lab: Lab, level: str, encrypt: bool) -> None:
    backup = lab.back_up(encrypt=encrypt)
    verification = lab.verify(backup, level)
    assert verification.outcome == "passed", verification.reason
    assert verification.detail["bytes"] == backup.stored_bytes
    again = lab.again(backup)
    assert (again.verification_level, again.verification_passed) == (level, True)
    assert again.copies[0].state == "stored"
    assert again.proven_at is None  # only a restore test proves


def damage_flip(data: bytes) -> bytes:
    position = len(data) // 2
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit": damage_flip,
    "a cut end": lambda data: data[:-1],
    "an appended byte": lambda data: data + b"\0",
    "nothing left": lambda data: b"",
    "another file": lambda data: os.urandom(len(data)),
    "a changed header": lambda data: data.replace(b"X25519 ", b"X25519 A", 1)[: len(data)],
}


@pytest.mark.parametrize("level", ["checksum", "archive"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_changed_bytes_fail(lab: Lab, level: str, damage: Callable[[bytes], bytes]) -> None:
    backup = lab.back_up()
    file = lab.stored_file(backup)
    data = file.read_bytes()
    file.write_bytes(damage(data))
    assert file.read_bytes() != data
    verification = lab.verify(backup, level)
    assert verification.outcome == "failed", verification.reason
    assert lab.again(backup).copies[0].state == "damaged"
    assert lab.again(backup).is_good is False


def test_a_verdict_and_the_state_of_its_copy_are_kept_together_or_not_at_all(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the verdict alone the next restore would still prefer the damaged copy."""
    backup = lab.back_up()
    file = lab.stored_file(backup)
    file.write_bytes(damage_flip(file.read_bytes()))

    def away(*_args: object, **_more: object) -> None:
        raise sa.exc.OperationalError("UPDATE copies", {}, Exception("the catalogue is away"))

    monkeypatch.setattr(lab.installation.catalog.backups, "set_copy_state", away)
    with pytest.raises(sa.exc.OperationalError):
        lab.verify(backup, "checksum")
    monkeypatch.undo()
    assert lab.installation.catalog.verifications.list(backup_id=backup.id, level="checksum") == []
    assert lab.verify(backup, "checksum").outcome == "failed"
    assert lab.again(backup).copies[0].state == "damaged"


@pytest.mark.parametrize("encrypt", [True, False], ids=["encrypted", "plain"])
def test_of_a_thousand_random_changes_none_passes(lab: Lab, encrypt: bool) -> None:
    backup = lab.back_up(encrypt=encrypt)
    file = lab.stored_file(backup)
    whole = file.read_bytes()
    chance = random.Random(2026)
    with lab.run("verification") as run:
        for _ in range(500):
            file.write_bytes(changed_at_random(whole, chance))
            for level in ("checksum", "archive"):
                finding = examine(lab.installation, backup, level, backup.copies[0], run)
                assert finding.outcome == "failed", (level, finding.reason)
        file.write_bytes(whole)
        for level in ("checksum", "archive"):
            assert examine(lab.installation, backup, level, backup.copies[0], run).outcome == "passed"


@pytest.mark.parametrize("level", SHALLOW)
def test_a_missing_object_fails_and_the_copy_is_missing(lab: Lab, level: str) -> None:
    backup = lab.back_up()
    lab.stored_file(backup).unlink()
    assert lab.verify(backup, level).outcome == "failed"
    assert lab.again(backup).copies[0].state == "missing"


def test_another_size_fails_the_level_stored(lab: Lab) -> None:
    backup = lab.back_up()
    with lab.stored_file(backup).open("ab") as file:
        file.write(b"\0")
    verification = lab.verify(backup, "stored")
    assert verification.outcome == "failed"
    assert f"bytes is {backup.stored_bytes + 1:,} instead of {backup.stored_bytes:,}" in verification.reason
    assert verification.detail["differing"]["bytes"] == {
        "expected": backup.stored_bytes,
        "found": backup.stored_bytes + 1,
    }


@pytest.mark.parametrize("level", SHALLOW)
def test_a_missing_manifest_fails(lab: Lab, level: str) -> None:
    backup = lab.back_up()
    lab.manifest_file(backup).unlink()
    verification = lab.verify(backup, level)
    assert verification.outcome == "failed"
    assert "manifest" in verification.reason


@pytest.mark.parametrize("level", SHALLOW)
@pytest.mark.parametrize(
    "change",
    [
        lambda text: re.sub(r'"rows": \d+', '"rows": 7', text, count=1),
        lambda text: text.replace('"manifest_version": 1', '"manifest_version": 99'),
        lambda text: text[: len(text) // 2],
        lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "signature"}),
    ],
    ids=["changed", "unknown version", "cut", "signature taken off"],
)
def test_a_changed_manifest_fails(lab: Lab, level: str, change: Callable[[str], str]) -> None:
    backup = lab.back_up()
    manifest = lab.manifest_file(backup)
    text = manifest.read_text()
    manifest.write_text(change(text))
    assert manifest.read_text() != text
    assert lab.verify(backup, level).outcome == "failed"


def test_an_object_and_manifest_swapped_with_another_backups_fail(lab: Lab) -> None:
    one, two = lab.back_up("one"), lab.back_up("two")
    lab.stored_file(one).write_bytes(lab.stored_file(two).read_bytes())
    lab.manifest_file(one).write_bytes(lab.manifest_file(two).read_bytes())
    verification = lab.verify(one, "stored")
    assert verification.outcome == "failed"
    assert "disagree" in verification.reason


def test_a_wrong_key_ends_the_attempt_and_condemns_nothing(lab: Lab) -> None:
    backup = lab.back_up()
    secret, public = generate_key()
    with pytest.raises(KeyMismatch, match=f"encrypted to {backup.recipients[0]}, this key is {public}"):
        lab.with_settings(encryption_key=SecretStr(secret)).verify(backup, "archive")
    with pytest.raises(KeyMismatch, match="there is no secret key here") as none:
        lab.with_settings(encryption_key=None).verify(backup, "archive")
    assert "BACKUP_ENCRYPTION_KEY" in none.value.hint
    assert lab.again(backup).verification_passed is None
    assert lab.installation.catalog.verifications.list(backup_id=backup.id) == []


def test_a_storage_that_is_away_ends_the_attempt_and_condemns_nothing(lab: Lab) -> None:
    backup = lab.back_up()
    (lab.home / "storage").rename(lab.home / "unplugged")
    for level in SHALLOW:
        with pytest.raises(StorageError):
            lab.verify(backup, level)
    assert lab.again(backup).verification_passed is None


@pytest.mark.parametrize("level", ["checksum", "archive"])
def test_a_cancelled_verification_condemns_nothing(lab: Lab, level: str) -> None:
    backup = lab.back_up()
    with lab.run("verification") as run:
        run.phase("waiting")
        run.stop(Cancelled("Cancelled by a person."))
        with pytest.raises(Cancelled):
            verify_backup(lab.installation, backup, level, None, run)
    assert lab.again(backup).verification_passed is None


def test_an_unknown_level_or_storage_names_what_there_is(lab: Lab) -> None:
    backup = lab.back_up()
    with lab.run("verification") as run:
        with pytest.raises(UnknownName, match="chekcsum") as level:
            verify_backup(lab.installation, backup, "chekcsum", None, run)
        assert "checksum" in level.value.hint
        with pytest.raises(UnknownName, match="primry") as storage:
            verify_backup(lab.installation, backup, "stored", "primry", run)
        assert "primary" in storage.value.hint


def test_an_expired_backup_cannot_be_verified(lab: Lab) -> None:
    from dataclasses import replace

    backup = replace(lab.back_up(), state="expired")
    with lab.run("verification") as run, pytest.raises(InputError, match="no stored copy"):
        verify_backup(lab.installation, backup, "stored", None, run)


def test_the_record_beside_the_manifest_is_signed_and_survives_the_catalogue(lab: Lab) -> None:
    backup = lab.back_up()
    verification = lab.verify(backup, "archive")
    key = record_key(backup, verification)
    assert re.fullmatch(r"la_factoria/one\.check-\d{8}T\d{6}Z-archive-[0-9a-z]{20}\.json", key)
    document = json.loads((lab.home / "storage" / key).read_text())
    assert check_document(lab.installation.settings, document) == "signed"
    assert (document["sha256"], document["outcome"]) == (backup.sha256, "passed")

    rebuilt = _in_a_new_catalogue(lab)
    rebuild(rebuilt.installation)
    again = rebuilt.again(backup)
    assert (again.verification_level, again.verification_passed) == ("archive", True)


def _in_a_new_catalogue(lab: Lab) -> Lab:
    from services.installation import open_configured

    url = SecretStr(f"sqlite:///{lab.home / 'new.db'}")
    return Lab(open_configured(lab.installation.settings.model_copy(update={"catalog_url": url})), lab.source)


def test_a_storage_that_takes_no_record_does_not_hide_the_outcome(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = lab.back_up()

    def refuse(self: LocalStorage, key: str, data: bytes) -> None:
        raise StorageError("The storage is read-only.")

    monkeypatch.setattr(LocalStorage, "put", refuse)
    with lab.run("verification") as run:
        verification = verify_backup(lab.installation, backup, "checksum", None, run)
    assert verification.outcome == "passed"
    assert lab.again(backup).verification_passed is True
    log = [line.message for line in lab.installation.catalog.runs.log(run.run_id)]
    assert any("could not be stored" in message and "read-only" in message for message in log)


def test_bytes_that_unpack_but_are_no_archive_fail_the_level_archive(lab: Lab) -> None:
    """Sizes and hashes may all be right, when what was dumped was no archive in the first place."""
    backup = _stored_text(lab, b"CREATE TABLE t (x int);\n" * 1000)
    assert lab.verify(backup, "checksum").outcome == "passed"
    verification = lab.verify(backup, "archive")
    assert verification.outcome == "failed"
    assert "pg_restore cannot read the archive" in verification.reason


def _stored_text(lab: Lab, plain: bytes) -> Backup:
    import io
    from dataclasses import replace

    from services.backups.manifest import to_document, write_manifest
    from services.stream.write import write_stream

    made = lab.back_up()
    storage = lab.installation.storage("primary")
    storage.delete(made.copies[0].key)
    writer = storage.writer(made.copies[0].key)
    with lab.run("backup") as run:
        stream = write_stream(io.BytesIO(plain), writer, level=3, recipients=made.recipients, run=run)
        stored = writer.commit()
    backup = replace(
        made,
        plain_bytes=stream.plain_bytes,
        plain_sha256=stream.plain_sha256,
        stored_bytes=stored.bytes,
        sha256=stream.stored_sha256,
        copies=(replace(made.copies[0], bytes=stored.bytes, etag=stored.etag),),
    )
    write_manifest(lab.installation.settings, storage, to_document(backup, None))
    lab.installation.catalog.backups.add(backup)
    return backup


def test_the_plain_hash_is_compared_as_well(lab: Lab) -> None:
    from dataclasses import replace

    from services.backups.manifest import to_document, write_manifest

    backup = replace(lab.back_up(), plain_sha256="0" * 64)
    write_manifest(lab.installation.settings, lab.installation.storage("primary"), to_document(backup, None))
    lab.installation.catalog.backups.add(backup)
    verification = lab.verify(backup, "archive")
    assert verification.outcome == "failed"
    assert "sha256 of the plain dump" in verification.reason


def test_a_pg_restore_that_is_killed_ends_the_attempt_and_condemns_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel does when memory is short, and as an operator may."""
    backup = lab.back_up()
    assert lab.verify(backup, "archive").outcome == "passed"
    before = lab.again(backup)
    write = ChildSink.write

    def write_and_kill(self: ChildSink, data: bytes) -> None:
        os.kill(self.pid, signal.SIGKILL)
        write(self, data)

    monkeypatch.setattr(ChildSink, "write", write_and_kill)
    with pytest.raises(BackupsError, match="ended by signal 9"):
        lab.verify(backup, "archive")
    assert lab.again(backup) == before
    assert len(lab.installation.catalog.verifications.list(backup_id=backup.id)) == 1
