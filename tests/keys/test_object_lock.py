"""Object lock, against moto's server: nobody deletes a backup before its time, and nothing of ours tries to."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pydantic import SecretStr

from services.backups.archive_plan import plan_archive
from services.backups.compress_plan import plan_compress
from services.backups.locking import find_unlocked, lock_copies
from services.catalog.model import Backup, Run
from services.commands import submit_cleanup, submit_copy, submit_deletion
from services.errors import InputError, ObjectLocked
from services.health.checks import examine
from services.installation import Installation
from services.keys.rotate_plan import plan_rotation
from services.retention.by_hand import check_deletable
from services.retention.plans import load_plans
from services.settings.model import DatabaseSettings, RetentionSettings, StorageSettings
from services.storage.s3 import S3Storage
from services.storage.s3_lock import has_object_lock, lock_object, lock_of
from services.storage.s3_parts import plan_parts
from services.stream.encryption import generate_key
from tests.support.installations import make_installation
from tests.support.run_context import RecordingRun
from tests.support.s3 import moto_server, plain_client, settings_for
from tests.support.stored import carry_out, folder_storage, installation_on, store_backup

DAY = timedelta(days=1)
NOW = datetime.now().astimezone().replace(microsecond=0)
"""The server has a clock of its own: what is locked must be so by it, too."""


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(moto: str) -> Callable[..., StorageSettings]:
    """Return a function that makes a bucket, with object lock or without, and returns its settings."""

    def new(*, lock: bool = True, **changes: Any) -> StorageSettings:
        name = f"bucket-{secrets.token_hex(6)}"
        plain_client(moto).create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        return settings_for(moto, name, prefix="prod", name="vault").model_copy(update=changes)

    return new


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Callable[..., Installation]]:
    opened: list[Installation] = []

    def new(vault: StorageSettings, **database: Any) -> Installation:
        primary = folder_storage(tmp_path, "primary")
        opened.append(installation_on(tmp_path, primary, vault, clock=lambda: NOW, **database))
        return opened[-1]

    yield new
    for one in opened:
        one.close()


def copied(inst: Installation, age: timedelta = DAY, name: str = "b1") -> Backup:
    """Return a backup of that age whose copy in the vault a run has just made."""
    backup = store_backup(inst, name, at=NOW - age, type="scheduled")
    run = carry_out(inst, submit_copy(inst, backup.id, "vault", actor="ada", queue=False))
    assert run.state == "finished", run.error
    return inst.catalog.backups.get(backup.id)


def in_vault(backup: Backup) -> Any:
    return next(copy for copy in backup.copies if copy.storage == "vault")


def severity(inst: Installation) -> str:
    return next(check.severity for check in examine(inst).checks if check.key == "object_lock:storage/vault")


def test_a_copy_is_locked_with_its_manifest_for_what_the_daily_tier_keeps(
    bucket: Callable[..., StorageSettings], on: Callable[..., Installation]
) -> None:
    inst = on(bucket(object_lock="compliance"))
    backup = copied(inst)
    vault = inst.storage("vault")
    assert isinstance(vault, S3Storage)
    copy = in_vault(backup)
    assert copy.lock_mode == "compliance"
    assert copy.locked_until == NOW + 6 * DAY, "seven days from when the backup finished, a day ago"
    for key in (copy.key, "la_factoria/b1.manifest.json"):
        lock = lock_of(vault, key)
        assert lock is not None
        assert (lock.mode, lock.until) == ("compliance", copy.locked_until)
    (version, *_) = plain_client(inst.settings.storage("vault").endpoint_url or "").list_object_versions(
        Bucket=vault.bucket, Prefix=vault.full(copy.key)
    )["Versions"]
    with pytest.raises(ClientError, match="AccessDenied"):
        vault.client.delete_object(Bucket=vault.bucket, Key=vault.full(copy.key), VersionId=version["VersionId"])
    with pytest.raises(ObjectLocked, match="locked until"):
        vault.delete(copy.key)
    assert vault.stat(copy.key).bytes == backup.stored_bytes, "a refused deletion hides nothing either"
    assert severity(inst) == "ok"


def test_cleanup_and_people_are_not_offered_what_is_locked(
    bucket: Callable[..., StorageSettings], on: Callable[..., Installation]
) -> None:
    inst = on(bucket(object_lock="governance", lock_for=40 * DAY), retention={"daily": 1, "weekly": 0, "monthly": 0,
              "yearly": 0, "minimum": 1})  # fmt: skip
    old, newest = copied(inst, 30 * DAY, "old"), copied(inst, DAY, "newest")
    (plan,) = load_plans(inst)
    (planned,) = [each for each in plan.kept if each.id == old.id]
    assert planned.decision.reasons == ("locked",)
    assert planned.decision.expires_at == NOW + 10 * DAY
    assert plan.going == ()
    with pytest.raises(InputError, match="locked until"):
        check_deletable(planned, 1, forced=True)
    forced = carry_out(inst, submit_deletion(inst, [old.id], force_reason="it must go", actor="ada", queue=False))
    assert [item["error"] for item in forced.result["items"]] == ["locked"]
    cleaned = carry_out(inst, submit_cleanup(inst, apply=True, actor="ada", queue=False))
    assert cleaned.result["items"] == []
    assert {inst.catalog.backups.get(each.id).state for each in (old, newest)} == {"finished"}


def test_what_is_locked_is_neither_compressed_nor_moved_nor_encrypted_anew(
    bucket: Callable[..., StorageSettings], on: Callable[..., Installation]
) -> None:
    vault = bucket(object_lock="governance", lock_for=90 * DAY, storage_classes=("GLACIER",))
    inst = on(vault)
    copied(inst, 40 * DAY)
    copied(inst, DAY, "newest")
    reasons = [each.reason for each in plan_archive(inst, older_than=30 * DAY, storage="vault").skipped]
    assert any("is locked until" in reason for reason in reasons)
    inst.settings = inst.settings.model_copy(update={"recipients": (generate_key()[1],)})
    assert all("is locked until" in each.reason for each in plan_rotation(inst).skipped)
    assert plan_compress(inst, older_than=30 * DAY).backups == ()


def test_after_its_lock_every_version_of_it_goes(
    bucket: Callable[..., StorageSettings], on: Callable[..., Installation], moto: str
) -> None:
    inst = on(bucket(object_lock="governance", lock_for=2 * DAY))
    backup = copied(inst, 3 * DAY)
    assert in_vault(backup).locked_until is None, "its time is over already"
    vault = inst.storage("vault")
    assert isinstance(vault, S3Storage)
    vault.put("la_factoria/b1.manifest.json", vault.get("la_factoria/b1.manifest.json"))
    gone = carry_out(inst, submit_deletion(inst, [backup.id], force_reason="a test", actor="ada", queue=False))
    assert [item["outcome"] for item in gone.result["items"]] == ["deleted"], gone.result
    left = plain_client(moto).list_object_versions(Bucket=vault.bucket, Prefix=vault.full("la_factoria/b1."))
    assert (left.get("Versions", []), left.get("DeleteMarkers", [])) == ([], [])


def test_an_object_of_several_parts_is_locked_like_a_small_one(bucket: Callable[..., StorageSettings]) -> None:
    vault = S3Storage(bucket(object_lock="governance"))
    data = secrets.token_bytes(plan_parts(1).part_bytes + 1000)
    writer = vault.writer("la_factoria/large.dump.zst.age", expected_bytes=1)
    writer.write(data)
    stored = writer.commit()
    assert stored.etag.endswith("-2")
    until = NOW + 3 * DAY
    assert lock_object(vault, "la_factoria/large.dump.zst.age", "governance", until).until == until
    assert lock_object(vault, "la_factoria/large.dump.zst.age", "governance", NOW + DAY).until == until, (
        "never shortened"
    )
    with pytest.raises(ObjectLocked):
        vault.delete("la_factoria/large.dump.zst.age")


def test_a_bucket_without_object_lock_is_found_out_and_the_backup_stands(
    bucket: Callable[..., StorageSettings], on: Callable[..., Installation]
) -> None:
    settings = bucket(lock=False, object_lock="governance")
    assert not has_object_lock(S3Storage(settings))
    inst = on(settings)
    backup = copied(inst)
    assert in_vault(backup).state == "stored"
    assert [one.name for one in find_unlocked(inst)] == ["b1"]
    assert severity(inst) == "failure"
    run = inst.catalog.runs.list(kind="copy")[0]
    assert any("could not be locked" in line.message for line in inst.catalog.runs.log(run.id))


def test_a_storage_that_locks_nothing_is_warned_of_until_that_is_said_to_be_known(
    bucket: Callable[..., StorageSettings], on: Callable[..., Installation]
) -> None:
    settings = bucket(lock=False)
    assert severity(on(settings)) == "warning"
    assert severity(on(settings.model_copy(update={"object_lock": "none"}))) == "ok"


def test_what_cannot_be_locked_keeps_no_other_from_being_locked(
    bucket: Callable[..., StorageSettings], on: Callable[..., Installation]
) -> None:
    inst = on(bucket(object_lock="governance"))
    vault = inst.storage("vault")
    assert isinstance(vault, S3Storage)
    for number in range(1, 5):
        store_backup(inst, f"b{number}", "vault", at=NOW - number * DAY)
    vault.delete("la_factoria/b2.manifest.json")
    lock_object(vault, "la_factoria/b3.dump.zst.age", "compliance", NOW + DAY)
    run = RecordingRun()
    assert lock_copies(inst, run) == 2
    assert [one.name for one in find_unlocked(inst)] == ["b2", "b3"]
    assert any("b3" in line and "compliance mode" in line for _, line in run.lines), run.lines


def test_what_is_past_its_lock_does_not_use_up_the_limit(
    bucket: Callable[..., StorageSettings], tmp_path: Path
) -> None:
    url = SecretStr("postgresql://u:p@127.0.0.1:1/x")
    short = RetentionSettings(daily=1)
    databases = (
        DatabaseSettings(name="la_factoria", url=url, storages=("vault",)),
        DatabaseSettings(name="short", url=url, storages=("vault",), retention=short),
    )
    storages = (bucket(object_lock="governance"),)
    inst = make_installation(tmp_path, storages=storages, databases=databases, clock=lambda: NOW)
    store_backup(inst, "past1", "vault", at=NOW - 3 * DAY, database="short")
    store_backup(inst, "due", "vault", at=NOW - 5 * DAY)
    store_backup(inst, "past2", "vault", at=NOW - 6 * DAY, database="short")
    assert [one.name for one in find_unlocked(inst, limit=1)] == ["due"]
    inst.close()


def test_where_a_bucket_keeps_versions_and_locks_nothing_a_deletion_says_what_stays(
    bucket: Callable[..., StorageSettings], on: Callable[..., Installation], moto: str
) -> None:
    inst = on(bucket(lock=False, object_lock="none"))
    vault = inst.storage("vault")
    assert isinstance(vault, S3Storage)

    def deleted(name: str) -> Run:
        backup = copied(inst, DAY, name)
        run_id = submit_deletion(inst, [backup.id], force_reason="a test", actor="ada", queue=False)
        run = carry_out(inst, run_id)
        assert [item["outcome"] for item in run.result["items"]] == ["deleted"], run.result
        return run

    assert "older_versions_in" not in deleted("b1").result, "the bucket keeps none"
    plain_client(moto).put_bucket_versioning(Bucket=vault.bucket, VersioningConfiguration={"Status": "Enabled"})
    gone = deleted("b2")
    assert gone.result["older_versions_in"] == ["vault"]
    assert any("older version" in line.message for line in inst.catalog.runs.log(gone.id))
