"""Older backups become zstd: the same dump under a new key, proven before the old one goes, whole at every step."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from services.backups import replace_object as compressing
from services.backups.compress_plan import plan_compress
from services.backups.manifest import read_manifest
from services.backups.naming import manifest_key
from services.backups.rebuild import rebuild
from services.backups.signing import sign_document
from services.catalog.deletions import Begun, Cause, Refused
from services.catalog.model import Backup, Run
from services.commands import submit_compressions, submit_copy, submit_verification
from services.errors import InputError, StorageFull, UnknownName
from services.installation import Installation, open_configured
from services.janitor import sweep
from services.postgres.server import LocalServer
from services.settings.model import StorageSettings
from services.verification.record import record_key
from services.verification.record import to_document as record_document
from tests.catalog.rows import make_verification
from tests.restores.lab import SCHEMA
from tests.support.dumps import plain_dump, store_old
from tests.support.s3 import moto_server, plain_client, settings_for
from tests.support.servers import drop_database, make_database
from tests.support.stored import AT, carry_out, flip, folder_storage, installation_on, keys_in, store_backup

WEEK = timedelta(days=7)
NOW = AT + 4 * WEEK
NewInstallation = Callable[..., Installation]


@pytest.fixture(scope="module")
def dump(server15: LocalServer) -> bytes:
    source = make_database(server15, SCHEMA)
    try:
        return plain_dump(source)
    finally:
        drop_database(source)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(moto: str) -> StorageSettings:
    name = f"bucket-{secrets.token_hex(6)}"
    plain_client(moto).create_bucket(Bucket=name)
    return settings_for(moto, name, prefix="prod", name="second")


@pytest.fixture
def on(tmp_path: Path) -> Iterator[NewInstallation]:
    """Return a function ``(*storages, **database) -> Installation``; the first is a folder called primary."""
    opened: list[Installation] = []

    def new(*storages: StorageSettings, **database: Any) -> Installation:
        primary = folder_storage(tmp_path, "primary")
        opened.append(installation_on(tmp_path, primary, *storages, clock=lambda: NOW, **database))
        return opened[-1]

    yield new
    for one in opened:
        one.close()


def compress(inst: Installation) -> Run:
    (run_id,) = submit_compressions(inst, plan_compress(inst, older_than=WEEK).backups, actor="ada", queue=False)
    return carry_out(inst, run_id)


def again(inst: Installation, backup: Backup) -> Backup:
    return inst.catalog.backups.get(backup.id)


def check(inst: Installation, backup: Backup, level: str, storage: str) -> str:
    run_id = submit_verification(inst, backup.id, level, storage=storage, actor="ada", queue=False)  # type: ignore[arg-type]
    run = carry_out(inst, run_id)
    assert run.state == "finished", run.error
    return str(run.result["outcome"])


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "not encrypted"])
def test_the_same_dump_lies_under_a_new_key_and_the_old_object_is_gone(
    on: NewInstallation, dump: bytes, compression: str, encrypted: bool
) -> None:
    inst = on(encrypt=encrypted)
    backup = store_old(inst, dump, compression=compression, encrypted=encrypted)
    run = compress(inst)
    assert run.state == "finished", run.error
    assert (run.result["failed"], run.result["skipped"], run.result["compressed"]) == ([], [], ["old"])
    after = again(inst, backup)
    assert (after.id, after.name, after.finished_at) == (backup.id, backup.name, backup.finished_at)
    assert (after.compression, after.encryption) == ("zstd", "age" if encrypted else "none")
    assert after.recipients == backup.recipients
    assert (after.plain_sha256, after.plain_bytes) == (backup.plain_sha256, backup.plain_bytes)
    assert after.stored_bytes < len(dump)
    key = f"la_factoria/old.dump.zst{'.age' if encrypted else ''}"
    assert keys_in(inst, "primary") == sorted([key, "la_factoria/old.manifest.json"])
    assert check(inst, after, "archive", "primary") == "passed"
    assert (run.result["bytes_before"], run.result["bytes_after"]) == (backup.stored_bytes, after.stored_bytes)


def test_one_that_was_not_encrypted_becomes_so_when_the_database_says_so(on: NewInstallation, dump: bytes) -> None:
    inst = on()
    backup = store_old(inst, dump)
    (planned,) = plan_compress(inst, older_than=WEEK).backups
    assert planned.encrypts
    compress(inst)
    after = again(inst, backup)
    assert (after.encryption, after.recipients) == ("age", inst.settings.recipients)
    assert b"PGDMP" not in inst.storage("primary").get(after.copies[0].key)


def test_the_manifest_says_what_it_was_made_from_and_is_signed(on: NewInstallation, dump: bytes) -> None:
    inst = on()
    backup = store_old(inst, dump, compression="gzip")
    compress(inst)
    manifest = read_manifest(inst.settings, inst.storage("primary"), manifest_key("la_factoria", "old"))
    assert manifest.backup.trust == "signed"
    assert manifest.made_from is not None
    assert (manifest.made_from.key, manifest.made_from.sha256) == (backup.copies[0].key, backup.sha256)
    assert (manifest.made_from.compression, manifest.made_from.bytes) == ("gzip", backup.stored_bytes)
    assert manifest.backup.sha256 == again(inst, backup).sha256


def test_every_copy_is_replaced_and_each_is_verified(on: NewInstallation, dump: bytes, bucket: StorageSettings) -> None:
    inst = on(bucket)
    backup = store_old(inst, dump)
    carry_out(inst, submit_copy(inst, backup.id, "second", actor="ada", queue=False))
    compress(inst)
    after = again(inst, backup)
    assert {copy.storage: copy.state for copy in after.copies} == {"primary": "stored", "second": "stored"}
    assert keys_in(inst, "primary") == keys_in(inst, "second")
    assert len(keys_in(inst, "second")) == 2
    for storage in ("primary", "second"):
        assert check(inst, after, "archive", storage) == "passed"
    assert inst.storage("second").unfinished() == []


def test_a_copy_that_was_not_whole_is_to_be_made_anew_from_the_new_object(
    on: NewInstallation, dump: bytes, tmp_path: Path
) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_old(inst, dump)
    carry_out(inst, submit_copy(inst, backup.id, "second", actor="ada", queue=False))
    inst.catalog.backups.set_copy_state(backup.id, "second", "damaged", checked_at=NOW)
    compress(inst)
    after = again(inst, backup)
    assert {copy.storage: copy.state for copy in after.copies} == {"primary": "stored", "second": "missing"}
    assert {copy.key for copy in after.copies} == {"la_factoria/old.dump.zst.age"}
    carry_out(inst, submit_copy(inst, backup.id, "second", actor="ada", queue=False))
    assert check(inst, after, "archive", "second") == "passed"


def test_only_what_is_old_and_poorly_compressed_is_planned_and_the_rest_says_why(
    on: NewInstallation, dump: bytes
) -> None:
    inst = on()
    store_old(inst, dump, "mine")
    store_old(inst, dump, "young", at=NOW - timedelta(days=6))
    store_backup(inst, "zstd")
    failed = store_old(inst, dump, "failed")
    inst.catalog.verifications.add(make_verification(failed, "restore", "failed", at=NOW))
    store_old(inst, dump, "forged", trust="untrusted")
    cold = store_old(inst, dump, "cold")
    inst.catalog.backups.save_copy(cold.id, replace(cold.copies[0], storage_class="GLACIER"))
    store_old(inst, dump, "folders", format="directory")
    plan = plan_compress(inst, older_than=WEEK)
    assert [each.backup.name for each in plan.backups] == ["mine"]
    assert plan.bytes == len(dump)
    assert {each.what: each.reason for each in plan.skipped} == {
        "failed": "it failed its verification",
        "forged": "its manifest is not believed",
        "cold": "its copy in primary lies in the storage class GLACIER",
        "folders": "its format is directory, which cannot be read to its end here",
    }


def test_without_the_secret_key_nothing_is_written_that_could_not_be_read_back(
    on: NewInstallation, dump: bytes
) -> None:
    inst = on()
    store_old(inst, dump)
    keyless = Installation(
        inst.settings.model_copy(update={"encryption_key": None, "signing_key": SecretStr("A" * 43 + "=")}),
        inst.catalog,
        inst.clock,
    )
    (skipped,) = plan_compress(keyless, older_than=WEEK).skipped
    assert "no secret key" in skipped.reason


def test_an_unknown_database_or_a_negative_age_is_refused(on: NewInstallation) -> None:
    inst = on()
    with pytest.raises(UnknownName):
        plan_compress(inst, older_than=WEEK, database="la_factoira")
    with pytest.raises(InputError):
        plan_compress(inst, older_than=-WEEK)


def test_a_damaged_backup_stays_as_it_is_and_nothing_new_is_left(
    on: NewInstallation, dump: bytes, tmp_path: Path
) -> None:
    inst = on()
    backup = store_old(inst, dump, compression="gzip", encrypted=True)
    flip(tmp_path / "primary" / backup.copies[0].key)
    run = compress(inst)
    assert len(run.result["failed"]) == 1
    assert keys_in(inst, "primary") == sorted([backup.copies[0].key, "la_factoria/old.manifest.json"])
    assert again(inst, backup) == backup


def test_a_dump_that_pg_restore_cannot_read_keeps_its_old_object(on: NewInstallation, dump: bytes) -> None:
    inst = on()
    backup = store_old(inst, dump[: len(dump) // 2])
    run = compress(inst)
    assert "cannot be read back" in run.result["failed"][0]
    assert keys_in(inst, "primary") == sorted([backup.copies[0].key, "la_factoria/old.manifest.json"])
    assert again(inst, backup) == backup


def test_no_deletion_begins_while_a_backup_is_compressed_and_nothing_is_compressed_that_is_being_deleted(
    on: NewInstallation, dump: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    inst = on()
    first, second = store_old(inst, dump, "first"), store_old(inst, dump, "second", at=AT + timedelta(hours=1))
    cleanup = inst.catalog.runs.add(kind="cleanup", database=None, actor="eve", reason="", params={}, now=NOW)
    refused: list[str] = []
    store_document = compressing.store_document

    def delete(backup: Backup) -> Begun | Refused:
        cause = Cause(cleanup.id, "eve", "")
        with inst.catalog.engine.begin() as connection:
            return inst.catalog.deletions.begin(backup.id, cause, now=NOW, connection=connection)

    def store_slowly(*args: Any, **more: Any) -> Any:
        met = delete(first)
        assert isinstance(met, Refused)
        refused.append(met.because)
        return store_document(*args, **more)

    monkeypatch.setattr(compressing, "store_document", store_slowly)
    ids = [first.id, second.id]
    run_id = inst.catalog.runs.add(
        kind="compress", database="la_factoria", actor="ada", reason="", params={"backups": ids}, now=NOW
    ).id
    assert isinstance(delete(second), Begun)
    run = carry_out(inst, run_id)
    assert set(refused) == {"active"}
    assert again(inst, first).compression == "zstd"
    assert again(inst, second).compression == second.compression
    assert [line for line in run.result["skipped"] if "being deleted" in line]


def test_one_that_fails_stops_no_other(on: NewInstallation, dump: bytes, tmp_path: Path) -> None:
    inst = on()
    bad, good = store_old(inst, dump, "bad"), store_old(inst, dump, "good", at=AT + timedelta(hours=1))
    flip(tmp_path / "primary" / bad.copies[0].key)
    run = compress(inst)
    assert (run.result["compressed"], len(run.result["failed"])) == (["good"], 1)
    assert again(inst, good).compression == "zstd"


@pytest.mark.parametrize("step", ["check_archive", "store_new_copy", "store_document", "_record", "remove_objects"])
def test_whatever_fails_at_whatever_step_the_backup_can_be_read_and_the_next_attempt_ends_it(
    on: NewInstallation, dump: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_old(inst, dump)
    carry_out(inst, submit_copy(inst, backup.id, "second", actor="ada", queue=False))
    calls = []
    real = getattr(compressing, step)

    def break_at(*args: Any, **kwargs: Any) -> Any:
        calls.append(step)
        if len(calls) == (2 if step == "store_document" else 1):  # between the two manifests
            raise StorageFull("No room.")
        return real(*args, **kwargs)

    monkeypatch.setattr(compressing, step, break_at)
    run = compress(inst)
    assert len(run.result["failed"]) == 1
    readable = [copy.storage for copy in again(inst, backup).copies if _can_be_read(inst, backup, copy.storage)]
    assert readable, "at each step at least one copy agrees with the catalogue"
    monkeypatch.setattr(compressing, step, real)
    if again(inst, backup).compression == "zstd":
        inst.catalog.backups.get(backup.id)
        carry_out(inst, _compress_again(inst, backup))
    else:
        compress(inst)
    after = again(inst, backup)
    assert after.compression == "zstd"
    for storage in ("primary", "second"):
        assert check(inst, after, "archive", storage) == "passed"
        assert keys_in(inst, storage) == ["la_factoria/old.dump.zst.age", "la_factoria/old.manifest.json"]


def _compress_again(inst: Installation, backup: Backup) -> str:
    run = inst.catalog.runs.add(
        kind="compress", database="la_factoria", actor="ada", reason="", params={"backups": [backup.id]}, now=NOW
    )
    return run.id


def _can_be_read(inst: Installation, backup: Backup, storage: str) -> bool:
    run_id = submit_verification(inst, backup.id, "archive", storage=storage, actor="ada", queue=False)
    run = carry_out(inst, run_id)
    return bool(run.result.get("outcome") == "passed")


# -- without the catalogue ---------------------------------------------------------------------------------------------


def emptied(inst: Installation, tmp_path: Path) -> Installation:
    url = SecretStr(f"sqlite:///{tmp_path / 'empty.db'}")
    return open_configured(inst.settings.model_copy(update={"catalog_url": url}), clock=inst.clock)


def test_a_rebuild_gives_the_same_backup_and_keeps_its_proof(
    on: NewInstallation, dump: bytes, tmp_path: Path, server18: LocalServer
) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_old(inst, dump)
    carry_out(inst, submit_copy(inst, backup.id, "second", actor="ada", queue=False))
    proof = make_verification(backup, "restore", "passed", at=NOW.replace(microsecond=0), id="proof-1")
    inst.catalog.verifications.add(proof)
    document = sign_document(inst.settings, record_document(backup, proof))
    inst.storage("primary").put(record_key(backup, proof), json.dumps(document).encode())
    compress(inst)
    before = again(inst, backup)
    assert before.proven_at == proof.finished_at, "the dump is the same, and was proven"
    new = emptied(inst, tmp_path)
    assert rebuild(new).unreadable == []
    after = again(new, backup)
    same = {"copies": (), "verification_at": None}
    assert replace(after, **same) == replace(before, **same)
    assert [(c.storage, c.key, c.state) for c in after.copies] == [(c.storage, c.key, c.state) for c in before.copies]
    new.close()


@pytest.mark.parametrize("catalogue", ["lost", "kept"])
def test_between_the_two_manifests_a_rebuild_takes_the_new_one_and_has_the_other_copy_made_anew(
    on: NewInstallation, dump: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalogue: str
) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_old(inst, dump)
    carry_out(inst, submit_copy(inst, backup.id, "second", actor="ada", queue=False))
    real, calls = compressing.store_document, []

    def once(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise StorageFull("No room.")
        return real(*args)

    monkeypatch.setattr(compressing, "store_document", once)
    compress(inst)
    looked_at = emptied(inst, tmp_path) if catalogue == "lost" else inst
    assert rebuild(looked_at).unreadable == []
    after = again(looked_at, backup)
    assert (after.compression, after.is_good) == ("zstd", True)
    states = {copy.storage: copy.state for copy in after.copies}
    assert states == ({"primary": "stored"} if catalogue == "lost" else {"primary": "stored", "second": "missing"})
    carry_out(looked_at, submit_copy(looked_at, backup.id, "second", actor="ada", queue=False))
    assert check(looked_at, after, "archive", "second") == "passed"
    if catalogue == "lost":
        looked_at.close()


def test_an_old_object_that_was_left_is_removed_by_the_janitor_and_only_when_the_new_one_is_whole(
    on: NewInstallation, dump: bytes, tmp_path: Path
) -> None:
    inst = on()
    backup = store_old(inst, dump)
    compress(inst)
    old = backup.copies[0].key
    inst.storage("primary").put(old, dump)
    later = Installation(inst.settings, inst.catalog, lambda: NOW + timedelta(days=400))
    new = tmp_path / "primary" / again(inst, backup).copies[0].key
    whole = new.read_bytes()
    new.write_bytes(whole[:-1])
    assert sweep(later, apply=True).orphans == []
    new.write_bytes(whole)
    report = sweep(later, apply=True)
    assert report.removed == [inst.storage("primary").location(old)]
    assert old not in keys_in(inst, "primary")
    inst.storage("primary").put(old, b"somebody else's")
    assert sweep(later, apply=True).orphans == [], "another size than that of what was replaced"
