"""Rotation: stored backups are encrypted to other keys, proven before the old goes, and read at every step."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest
from pydantic import SecretStr

from services.backups import replace_object as replacing
from services.backups.manifest import read_manifest
from services.backups.naming import manifest_key, rotated_key
from services.backups.rebuild import rebuild
from services.catalog.model import Backup, Run
from services.commands import submit_base_backup, submit_rotation, submit_verification
from services.errors import StorageError
from services.installation import Installation
from services.janitor import sweep
from services.keys.rotate_plan import plan_rotation
from services.postgres.server import LocalServer
from services.stream.encryption import generate_key
from tests.restores.lab import SCHEMA
from tests.support.dumps import plain_dump, store_old
from tests.support.installations import make_installation
from tests.support.servers import NewDatabase, drop_database, make_database
from tests.support.stored import carry_out, folder_storage, installation_on, keys_in

OLD, OFFLINE, NEW = generate_key(), generate_key(), generate_key()
KEY = "la_factoria/old.dump.gz.age"


@pytest.fixture(scope="module")
def dump(server15: LocalServer) -> bytes:
    source = make_database(server15, SCHEMA)
    try:
        return plain_dump(source)
    finally:
        drop_database(source)


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Callable[..., Installation]]:
    """Return a function that opens the installation, of two folders, with the settings that are given."""
    opened: list[Installation] = []

    def new(**changes: Any) -> Installation:
        folders = [folder_storage(tmp_path, name) for name in ("primary", "second")]
        inst = installation_on(tmp_path, *folders)
        inst.settings = inst.settings.model_copy(update=changes)
        opened.append(inst)
        return inst

    yield new
    for one in opened:
        one.close()


BEFORE = {"recipients": (OLD[1],), "encryption_key": SecretStr(OLD[0])}
AFTER = {
    "recipients": (NEW[1], OFFLINE[1]),
    "encryption_key": SecretStr(NEW[0]),
    "old_encryption_keys": (SecretStr(OLD[0]),),
}


def rotate(inst: Installation) -> Run:
    (run_id,) = submit_rotation(inst, plan_rotation(inst).backups, actor="ada", queue=False)
    return carry_out(inst, run_id)


def stored(on: Callable[..., Installation], dump: bytes, **more: Any) -> Backup:
    return store_old(on(**BEFORE), dump, compression="gzip", encrypted=True, **more)


def outcome(inst: Installation, backup: Backup, level: str = "archive") -> str:
    run = carry_out(inst, submit_verification(inst, backup.id, level, actor="ada", queue=False))  # type: ignore[arg-type]
    assert run.state == "finished", run.error
    return str(run.result["outcome"])


def opens(secret: str, data: bytes) -> bool:
    try:
        pyrage.decrypt_io(io.BytesIO(data), io.BytesIO(), [pyrage.x25519.Identity.from_str(secret)])
    except pyrage.DecryptError:
        return False
    return True


def test_every_backup_is_encrypted_to_the_present_keys_and_no_other_opens_it(
    on: Callable[..., Installation], dump: bytes
) -> None:
    backup = stored(on, dump)
    inst = on(**AFTER)
    assert outcome(inst, backup) == "passed", "the old key reads what is not rotated yet"
    run = rotate(inst)
    assert (run.state, run.result["rotated"], run.result["failed"]) == ("finished", ["old"], [])
    after = inst.catalog.backups.get(backup.id)
    assert after.recipients == (NEW[1], OFFLINE[1])
    assert (after.compression, after.plain_sha256, after.id) == ("gzip", backup.plain_sha256, backup.id)
    data = inst.storage("primary").get(after.copies[0].key)
    assert [opens(key[0], data) for key in (NEW, OFFLINE, OLD)] == [True, True, False]
    assert keys_in(inst, "primary") == ["la_factoria/old.dump.gz.r2.age", "la_factoria/old.manifest.json"]
    assert plan_rotation(inst).backups == ()
    manifest = read_manifest(inst.settings, inst.storage("primary"), manifest_key("la_factoria", "old"))
    assert (manifest.backup.recipients, manifest.backup.trust) == ((NEW[1], OFFLINE[1]), "signed")
    without_old = on(**AFTER | {"old_encryption_keys": ()})
    assert outcome(without_old, backup) == "passed"


def test_the_offline_key_reads_it_afterwards(on: Callable[..., Installation], dump: bytes) -> None:
    backup = stored(on, dump)
    rotate(on(**AFTER))
    signed_by = (SecretStr(NEW[0]),)
    offline = on(recipients=(OFFLINE[1],), encryption_key=SecretStr(OFFLINE[0]), old_encryption_keys=signed_by)
    assert outcome(offline, backup) == "passed"


def test_its_proofs_survive_two_rotations_and_the_loss_of_the_catalogue_and_of_the_old_keys(
    on: Callable[..., Installation], dump: bytes
) -> None:
    backup = stored(on, dump)
    assert outcome(on(**BEFORE), backup, "archive") == "passed"
    checked = len(on(**BEFORE).catalog.verifications.list(backup_id=backup.id))
    first = on(**AFTER)
    rotate(first)
    last = generate_key()
    second = on(
        recipients=(last[1],), encryption_key=SecretStr(last[0]), old_encryption_keys=(SecretStr(NEW[0]),),
    )  # fmt: skip
    assert rotate(second).result["rotated"] == ["old"]
    assert second.catalog.backups.get(backup.id).copies[0].key == "la_factoria/old.dump.gz.r3.age"
    known = len(second.catalog.verifications.list(backup_id=backup.id))
    assert known == checked + 2, "each rotation reads the new object to its end, and records that"
    (second.settings.home / "catalog.db").unlink()
    second.close()
    bare = on(recipients=(last[1],), encryption_key=SecretStr(last[0]))
    report = rebuild(bare)
    assert (report.backups, report.untrusted, report.unreadable) == (1, [], [])
    assert len(bare.catalog.verifications.list(backup_id=backup.id)) == known


def test_a_rotation_that_dies_at_any_point_leaves_a_backup_that_reads_and_is_gone_on_with(
    on: Callable[..., Installation], dump: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = stored(on, dump)
    inst = on(**AFTER)

    def broken(*_: object, **__: object) -> None:
        raise StorageError("The storage went away.")

    for step in ("store_document", "_check", "_record", "remove_objects"):
        with monkeypatch.context() as patched:
            patched.setattr(replacing, step, broken)
            run = rotate(inst) if plan_rotation(inst).backups else None
        assert run is None or run.result["failed"], step
        assert outcome(inst, inst.catalog.backups.get(backup.id)) == "passed", f"broken at {step}"
    if plan_rotation(inst).backups:
        rotate(inst)
    sweep(inst, apply=False)
    after = inst.catalog.backups.get(backup.id)
    assert after.recipients == (NEW[1], OFFLINE[1])
    assert outcome(inst, after) == "passed"


def test_what_cannot_be_read_back_is_left_as_it_is_and_says_why(on: Callable[..., Installation], dump: bytes) -> None:
    stored(on, dump)
    without_old = on(recipients=(NEW[1],), encryption_key=SecretStr(NEW[0]))
    blind = on(recipients=(OFFLINE[1],), encryption_key=SecretStr(OLD[0]))
    (skipped,) = plan_rotation(without_old).skipped
    assert OLD[1] in skipped.reason
    assert NEW[1] in skipped.reason
    (skipped,) = plan_rotation(blind).skipped
    assert skipped.reason == "no secret key here opens what would be written, so it could not be read back"


def test_what_was_not_encrypted_becomes_so(on: Callable[..., Installation], dump: bytes) -> None:
    backup = store_old(on(**BEFORE), dump)
    inst = on(**AFTER)
    assert rotate(inst).result["rotated"] == ["old"]
    after = inst.catalog.backups.get(backup.id)
    assert (after.encryption, after.copies[0].key) == ("age", "la_factoria/old.dump.age")
    assert b"PGDMP" not in inst.storage("primary").get(after.copies[0].key)


def test_a_base_backup_is_rotated_with_every_file_as_it_was(
    server15: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    source = database(server15, "CREATE TABLE t AS SELECT generate_series(1, 100) AS n")
    inst = make_installation(tmp_path, url=source.url().get_secret_value())
    taken = carry_out(inst, submit_base_backup(inst, "la_factoria", actor="ada", queue=False))
    backup = inst.catalog.backups.get(taken.backup_id or "")
    inst.settings = inst.settings.model_copy(update={"recipients": (*inst.settings.recipients, OFFLINE[1])})
    assert rotate(inst).result["rotated"] == [backup.name]
    after = inst.catalog.backups.get(backup.id)
    assert after.copies[0].key == f"la_factoria/{backup.name}.base.tar.zst.r2.age"
    assert outcome(inst, after) == "passed"
    assert opens(OFFLINE[0], inst.storage("primary").get(after.copies[0].key))
    assert sweep(inst, apply=False).orphans == []
    inst.close()


def test_a_rotated_object_has_a_key_of_its_own_each_time() -> None:
    keys = ["d/n.dump.zst.age"]
    for _ in range(3):
        keys.append(rotated_key(keys[-1]))
    assert keys[1:] == ["d/n.dump.zst.r2.age", "d/n.dump.zst.r3.age", "d/n.dump.zst.r4.age"]
    assert rotated_key("d/n.dump.zst") == "d/n.dump.zst.age"


def test_no_key_comes_into_a_log_or_a_document(on: Callable[..., Installation], dump: bytes) -> None:
    stored(on, dump)
    inst = on(**AFTER)
    run = rotate(inst)
    texts = [line.message for line in inst.catalog.runs.log(run.id)] + [json.dumps(run.result)]
    texts += [inst.storage("primary").get(key).decode("latin-1") for key in keys_in(inst, "primary")]
    assert all(key[0] not in text for key in (OLD, OFFLINE, NEW) for text in texts)
