"""Further copies: the same bytes and manifest in another storage, whole or not there, each for itself."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.backups.copy_failures import LONGEST_PAUSE, pause_after
from services.backups.manifest import to_document, write_manifest
from services.backups.missing_copies import find_missing, queue_copies, queue_missing
from services.backups.naming import manifest_key
from services.backups.rebuild import rebuild
from services.catalog.model import Backup, Copy, Run
from services.clock import isoformat
from services.commands import request_cancel, submit_copy, submit_verification
from services.errors import Cancelled, StorageUnavailable, UnknownName
from services.health.checks import examine
from services.installation import Installation, open_configured
from services.jobs.active_run import ActiveRun
from services.jobs.execute import execute_run
from services.settings.model import StorageSettings
from tests.catalog.rows import make_verification
from tests.support.installations import make_settings
from tests.support.s3 import FaultServer, fault_server, moto_server, plain_client, settings_for
from tests.support.stored import (
    AT,
    both_keys,
    carry_out,
    content_of,
    flip,
    folder_storage,
    installation_on,
    keys_in,
    store_backup,
)

NewInstallation = Callable[..., Installation]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(moto: str) -> StorageSettings:
    """An empty bucket on a real S3 server, over HTTP."""
    name = f"bucket-{secrets.token_hex(6)}"
    plain_client(moto).create_bucket(Bucket=name)
    return settings_for(moto, name, prefix="prod", name="second")


@pytest.fixture
def on(tmp_path: Path) -> Iterator[NewInstallation]:
    """Return a function ``(*storages, **database) -> Installation``; the first is a folder called primary."""
    opened: list[Installation] = []

    def new(*storages: StorageSettings, **database: object) -> Installation:
        opened.append(installation_on(tmp_path, folder_storage(tmp_path, "primary"), *storages, **database))
        return opened[-1]

    yield new
    for one in opened:
        one.close()


def copy(inst: Installation, backup: Backup, to: str = "second") -> Run:
    return carry_out(inst, submit_copy(inst, backup.id, to, actor="ada", queue=False))


def copies(inst: Installation, backup: Backup) -> dict[str, Copy]:
    return {each.storage: each for each in inst.catalog.backups.get(backup.id).copies}


def test_a_copy_has_the_same_bytes_and_the_same_signed_manifest_and_is_verified_by_itself(
    on: NewInstallation, bucket: StorageSettings
) -> None:
    inst = on(bucket)
    backup = store_backup(inst)
    run = copy(inst, backup)
    assert run.state == "finished", run.error
    for key in both_keys(backup):
        assert content_of(inst, "second", key) == content_of(inst, "primary", key)
    made = copies(inst, backup)["second"]
    assert (made.state, made.bytes, made.error, made.attempts) == ("stored", backup.stored_bytes, "", 0)
    assert made.location == f"{bucket.url}/{made.key}"
    (check,) = inst.catalog.verifications.list(backup_id=backup.id)
    assert (check.storage, check.level, check.outcome) == ("second", "checksum", "passed")
    assert [entry.key for entry in inst.storage("second").list() if ".check-" in entry.key]
    assert inst.catalog.runs.leftovers(run.id) == []


def test_a_copy_larger_than_one_part_is_streamed(on: NewInstallation, bucket: StorageSettings) -> None:
    inst = on(bucket)
    backup = store_backup(inst, content=secrets.token_bytes(21 << 20))
    assert copy(inst, backup).state == "finished"
    assert content_of(inst, "second", backup.copies[0].key) == content_of(inst, "primary", backup.copies[0].key)
    assert inst.storage("second").unfinished() == []


def test_from_s3_to_a_folder_works_the_same_way(tmp_path: Path, bucket: StorageSettings) -> None:
    inst = installation_on(tmp_path, bucket, folder_storage(tmp_path, "disk"))
    backup = store_backup(inst, storage="second")
    assert copy(inst, backup, "disk").state == "finished"
    assert keys_in(inst, "disk") == both_keys(backup)
    inst.close()


def test_a_copy_that_is_whole_is_left_as_it_is(on: NewInstallation, tmp_path: Path) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst)
    copy(inst, backup)
    file = tmp_path / "second" / backup.copies[0].key
    before = file.stat()
    assert copy(inst, backup).state == "finished"
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_damaged_copy_is_made_anew_and_the_backup_stood_all_the_while(on: NewInstallation, tmp_path: Path) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst)
    carry_out(inst, submit_verification(inst, backup.id, "checksum", storage="primary", actor="ada", queue=False))
    copy(inst, backup)
    flip(tmp_path / "second" / backup.copies[0].key)
    carry_out(inst, submit_verification(inst, backup.id, "checksum", storage="second", actor="ada", queue=False))
    damaged = inst.catalog.backups.get(backup.id)
    assert copies(inst, backup)["second"].state == "damaged"
    assert (damaged.verification_passed, damaged.is_good) == (True, True), "its other copy vouches for it"
    (missing,), _ = find_missing(inst)
    assert (missing.storage, missing.state, missing.has_source) == ("second", "damaged", True)
    assert copy(inst, backup).state == "finished"
    assert copies(inst, backup)["second"].state == "stored"
    assert content_of(inst, "second", backup.copies[0].key) == content_of(inst, "primary", backup.copies[0].key)
    assert find_missing(inst) == ([], {})


@pytest.mark.parametrize("lost", ["object", "manifest", "both"])
def test_a_copy_whose_object_or_manifest_is_gone_is_made_anew(on: NewInstallation, tmp_path: Path, lost: str) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst)
    copy(inst, backup)
    for key, name in zip(both_keys(backup), ("object", "manifest"), strict=True):
        if lost in (name, "both"):
            (tmp_path / "second" / key).unlink()
    assert copy(inst, backup).state == "finished"
    assert keys_in(inst, "second") == both_keys(backup)
    assert copies(inst, backup)["second"].state == "stored"


def test_the_primary_copy_is_made_anew_from_the_second(on: NewInstallation, tmp_path: Path) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst)
    copy(inst, backup)
    (tmp_path / "primary" / backup.copies[0].key).unlink()
    carry_out(inst, submit_verification(inst, backup.id, "stored", storage="primary", actor="ada", queue=False))
    assert copies(inst, backup)["primary"].state == "missing"
    assert inst.catalog.backups.get(backup.id).is_good
    assert copy(inst, backup, "primary").state == "finished"
    assert keys_in(inst, "primary") == both_keys(backup)


def test_a_source_that_turns_out_to_be_damaged_is_condemned_and_nothing_is_stored(
    on: NewInstallation, tmp_path: Path
) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst)
    flip(tmp_path / "primary" / backup.copies[0].key)
    run = copy(inst, backup)
    assert run.state == "failed"
    assert keys_in(inst, "second") == []
    after = inst.catalog.backups.get(backup.id)
    assert (after.is_good, after.verification_passed) == (False, False)
    assert {s: c.state for s, c in copies(inst, backup).items()} == {"primary": "damaged", "second": "failed"}


def test_of_several_sources_the_damaged_one_is_condemned_and_the_next_is_read(
    on: NewInstallation, tmp_path: Path
) -> None:
    inst = on(folder_storage(tmp_path, "second"), folder_storage(tmp_path, "third"))
    backup = store_backup(inst)
    copy(inst, backup)
    flip(tmp_path / "primary" / backup.copies[0].key)
    assert copy(inst, backup, "third").state == "finished"
    assert {s: c.state for s, c in copies(inst, backup).items()} == {
        "primary": "damaged", "second": "stored", "third": "stored"}  # fmt: skip
    assert inst.catalog.backups.get(backup.id).is_good


def test_a_storage_that_is_away_fails_the_copy_and_not_the_backup(on: NewInstallation, bucket: StorageSettings) -> None:
    with fault_server(bucket.endpoint_url or "") as faults:
        inst = on(bucket.model_copy(update={"endpoint_url": faults.endpoint}))
        backup = store_backup(inst)
        faults.fault = lambda method, path: "503" if method == "PUT" else None
        run = copy(inst, backup)
        failed = copies(inst, backup)["second"]
        assert run.state == "failed"
        assert (failed.state, failed.attempts) == ("failed", 1)
        assert "SlowDown" in failed.error
        assert failed.next_attempt_at is not None
        assert inst.catalog.backups.get(backup.id).is_good
        faults.fault = lambda method, path: None
        assert copy(inst, backup).state == "finished"
        made = copies(inst, backup)["second"]
        assert (made.state, made.error, made.attempts, made.next_attempt_at) == ("stored", "", 0, None)


def _broken(faults: FaultServer, what: str) -> None:
    faults.fault = lambda method, path: "500" if method == "PUT" and what in path else None


def test_a_manifest_that_cannot_be_stored_leaves_no_object_either(on: NewInstallation, bucket: StorageSettings) -> None:
    with fault_server(bucket.endpoint_url or "") as faults:
        inst = on(bucket.model_copy(update={"endpoint_url": faults.endpoint}))
        backup = store_backup(inst)
        _broken(faults, ".manifest.json")
        assert copy(inst, backup).state == "failed"
        assert keys_in(inst, "second") == []
        assert copies(inst, backup)["second"].state == "failed"


def test_an_error_that_names_a_secret_is_kept_masked(on: NewInstallation, bucket: StorageSettings) -> None:
    inst = on(bucket)
    backup = store_backup(inst)
    storage = inst.storage("second")
    secret = bucket.secret_access_key
    assert secret is not None

    def away(*_: object, **__: object) -> object:
        raise StorageUnavailable(f"It said {secret.get_secret_value()}.")

    storage.writer = away  # type: ignore[method-assign, assignment]
    copy(inst, backup)
    assert copies(inst, backup)["second"].error == "It said ***."


def test_what_does_not_fit_is_not_begun(on: NewInstallation, tmp_path: Path) -> None:
    inst = on(folder_storage(tmp_path, "second", limit_bytes=150_000))
    first, second = store_backup(inst), store_backup(inst, "b2", at=AT + timedelta(hours=1))
    assert copy(inst, first).state == "finished"
    run = copy(inst, second)
    assert run.state == "failed"
    assert "50.0 kB left of its limit_bytes, and 100 kB are needed" in run.error
    assert keys_in(inst, "second") == both_keys(first)


def test_an_object_without_manifest_is_our_own_leftover_and_is_replaced(on: NewInstallation, tmp_path: Path) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst)
    inst.storage("second").put(backup.copies[0].key, b"half")
    assert copy(inst, backup).state == "finished"
    assert content_of(inst, "second", backup.copies[0].key) == content_of(inst, "primary", backup.copies[0].key)


def test_a_copy_that_somebody_made_by_hand_is_recorded_and_verified(on: NewInstallation, tmp_path: Path) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst)
    for key in both_keys(backup):
        inst.storage("second").put(key, content_of(inst, "primary", key))
    file = tmp_path / "second" / backup.copies[0].key
    inode = file.stat().st_ino
    assert copy(inst, backup).state == "finished"
    assert file.stat().st_ino == inode
    assert inst.catalog.verifications.list(backup_id=backup.id)[0].outcome == "passed"


@pytest.mark.parametrize("which", ["another backup's", "unreadable"])
def test_what_belongs_to_somebody_else_is_not_touched(on: NewInstallation, tmp_path: Path, which: str) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst)
    other = inst.storage("second")
    if which == "unreadable":
        other.put(manifest_key("la_factoria", "b1"), b"{")
    else:
        stranger = make_settings(tmp_path / "stranger")
        write_manifest(stranger, other, to_document(replace(backup, id="theirs"), None))
    other.put(backup.copies[0].key, b"theirs")
    before = {entry.key: other.get(entry.key) for entry in other.list()}
    run = copy(inst, backup)
    assert run.state == "failed"
    assert "was not touched" in run.error
    assert {entry.key: other.get(entry.key) for entry in other.list()} == before


def test_a_backup_that_expires_meanwhile_leaves_no_copy(
    on: NewInstallation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst)
    put = inst.storage("second").put

    def expire(key: str, data: bytes) -> object:
        inst.catalog.backups.add(replace(inst.catalog.backups.get(backup.id), state="expired", expired_at=AT))
        return put(key, data)

    monkeypatch.setattr(inst.storage("second"), "put", expire)
    run = copy(inst, backup)
    assert run.state == "failed"
    assert "expired while it was copied" in run.error
    assert keys_in(inst, "second") == []


def test_two_copies_of_one_backup_at_once_do_not_meet(on: NewInstallation, tmp_path: Path) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst)
    with inst.catalog.runs.hold(f"backup/{backup.id}", "another-run", now=AT):
        run = copy(inst, backup)
    assert run.state == "failed"
    assert "Another run works on the same backup" in run.error
    assert "second" not in copies(inst, backup)
    assert copy(inst, backup).state == "finished"


def test_an_unknown_storage_or_an_expired_backup_is_refused_and_nothing_starts(
    on: NewInstallation, tmp_path: Path
) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst)
    with pytest.raises(UnknownName, match="secnd"):
        submit_copy(inst, backup.id, "secnd", actor="ada", queue=False)
    assert inst.catalog.runs.list() == []


# -- copies that are wanting -------------------------------------------------------------------------------------------


def test_the_pauses_grow_and_end_at_six_hours() -> None:
    pauses = [pause_after(n) for n in range(1, 12)]
    assert pauses[0] == timedelta(minutes=5)
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE == pause_after(500)


def test_wanting_copies_are_found_newest_first_and_queued_one_at_a_time(on: NewInstallation, tmp_path: Path) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    old, new = store_backup(inst), store_backup(inst, "b2", at=AT + timedelta(days=1))
    expired = store_backup(inst, "b3", at=AT + timedelta(days=2), state="expired", expired_at=AT)
    untrusted = store_backup(inst, "b4", at=AT + timedelta(days=3), trust="untrusted")
    found, total = find_missing(inst)
    assert [(m.backup_id, m.storage, m.state) for m in found] == [(new.id, "second", None), (old.id, "second", None)]
    assert total == {"second": 2}
    assert {expired.id, untrusted.id}.isdisjoint(m.backup_id for m in found)
    (first,) = queue_missing(inst)
    assert inst.catalog.runs.get(first).backup_id == new.id
    assert queue_missing(inst) == [], "one at a time"
    carry_out(inst, first)
    (second,) = queue_missing(inst)
    assert inst.catalog.runs.get(second).backup_id == old.id
    carry_out(inst, second)
    assert queue_missing(inst) == []
    assert find_missing(inst) == ([], {})


def test_the_worker_and_the_backup_ask_for_the_same_run(on: NewInstallation, tmp_path: Path) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst)
    assert queue_missing(inst) == queue_copies(inst, backup.id, actor="ada")
    assert len(inst.catalog.runs.list(kind="copy")) == 1


def test_what_only_a_person_can_mend_is_told_at_once_and_not_tried_again_soon(tmp_path: Path) -> None:
    nowhere = StorageSettings(name="second", url=f"file://{tmp_path / 'not' / 'there'}")
    inst = installation_on(tmp_path, folder_storage(tmp_path, "primary"), nowhere, clock=lambda: AT)
    (tmp_path / "not" / "there" / "la_factoria").rmdir()
    (tmp_path / "not" / "there").rmdir()
    (tmp_path / "not").rmdir()
    backup = store_backup(inst)
    (run_id,) = queue_missing(inst)
    assert not carry_out(inst, run_id).result["may_pass"]
    assert copies(inst, backup)["second"].next_attempt_at == AT + LONGEST_PAUSE
    [told] = [check for check in examine(inst).checks if check.name == "copies"]
    assert told.severity == "warning"
    assert told.sentence.startswith("A copy could not be made, that of b1 in second: The folder ")
    assert told.hint.endswith("backups copy b1 --to second")


def test_a_failed_copy_is_tried_again_when_its_pause_is_over_and_not_before(tmp_path: Path) -> None:
    now = [AT]
    second = folder_storage(tmp_path, "second")
    inst = installation_on(tmp_path, folder_storage(tmp_path, "primary"), second, clock=lambda: now[0])
    assert copy(inst, store_backup(inst, "b0", at=AT - timedelta(days=1))).state == "finished"
    (tmp_path / "second").rename(tmp_path / "unmounted")
    backup = store_backup(inst)
    pauses = []
    for attempt in range(1, 5):
        (run_id,) = queue_missing(inst)
        assert carry_out(inst, run_id).state == "failed"
        failed = copies(inst, backup)["second"]
        assert (failed.state, failed.attempts) == ("failed", attempt)
        assert failed.next_attempt_at is not None
        pauses.append(failed.next_attempt_at - now[0])
        now[0] = failed.next_attempt_at - timedelta(seconds=1)
        assert queue_missing(inst) == []
        now[0] += timedelta(seconds=1)
    assert pauses == [pause_after(n) for n in range(1, 5)]
    (tmp_path / "unmounted").rename(tmp_path / "second")
    (run_id,) = queue_missing(inst)
    assert carry_out(inst, run_id).state == "finished"
    assert copies(inst, backup)["second"].state == "stored"
    inst.close()


def test_what_was_cancelled_while_it_waited_can_be_queued_again(on: NewInstallation, tmp_path: Path) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    store_backup(inst)
    (first,) = queue_missing(inst)
    request_cancel(inst, first, actor="ada")
    (again,) = queue_missing(inst)
    assert again != first
    assert carry_out(inst, again).state == "finished"


def test_a_backup_whose_bytes_do_not_restore_is_not_copied_any_further(on: NewInstallation, tmp_path: Path) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst)
    inst.catalog.verifications.add(make_verification(backup, "restore", "failed", at=AT))
    assert queue_missing(inst) == []
    assert find_missing(inst)[1] == {"second": 1}, "it is shown all the same"


def test_a_copy_that_was_deleted_on_purpose_is_not_missed(on: NewInstallation, tmp_path: Path) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst)
    copy(inst, backup)
    gone = replace(copies(inst, backup)["second"], state="deleted")
    inst.catalog.backups.save_copy(backup.id, gone)
    assert find_missing(inst) == ([], {})
    assert queue_missing(inst) == []


def test_without_further_storages_nothing_is_looked_for(on: NewInstallation) -> None:
    inst = on()
    store_backup(inst)
    assert queue_missing(inst) == []
    assert find_missing(inst) == ([], {})


# -- rebuilding --------------------------------------------------------------------------------------------------------


def test_an_empty_catalogue_gets_one_backup_with_both_copies_and_both_proofs(
    on: NewInstallation, tmp_path: Path, bucket: StorageSettings
) -> None:
    inst = on(bucket)
    backup = store_backup(inst)
    carry_out(inst, submit_verification(inst, backup.id, "checksum", storage="primary", actor="ada", queue=False))
    copy(inst, backup)
    before = inst.catalog.backups.get(backup.id)
    url = SecretStr(f"sqlite:///{tmp_path / 'empty.db'}")
    new = open_configured(inst.settings.model_copy(update={"catalog_url": url}))
    report = rebuild(new)
    assert (report.backups, report.verifications, report.unreadable, report.incomplete) == (1, 2, [], [])
    after = new.catalog.backups.get(backup.id)
    assert [(c.storage, c.state, c.etag, c.key) for c in after.copies] == [
        (c.storage, c.state, c.etag, c.key) for c in before.copies
    ]
    same = {"copies": (), "verification_at": None}
    assert replace(after, **same) == replace(before, **same)
    assert isoformat(after.verification_at) == isoformat(before.verification_at)
    new.close()


def test_a_rebuild_keeps_what_the_catalogue_knows_of_a_copy_that_failed(on: NewInstallation, tmp_path: Path) -> None:
    inst = on(folder_storage(tmp_path, "second", limit_bytes=1))
    backup = store_backup(inst)
    copy(inst, backup)
    before = inst.catalog.backups.get(backup.id)
    assert rebuild(inst).unreadable == []
    assert inst.catalog.backups.get(backup.id) == before


def test_a_copy_that_somebody_cancels_leaves_nothing_and_is_not_tried_again_for_hours(
    on: NewInstallation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inst = on(folder_storage(tmp_path, "second"))
    backup = store_backup(inst, content=secrets.token_bytes(9 << 20))
    run_id = submit_copy(inst, backup.id, "second", actor="ada", queue=False)
    active: list[ActiveRun] = []
    writer = inst.storage("second").writer

    def slow(*args: object, **kwargs: object) -> object:
        active[0].stop(Cancelled("Cancelled by ada."))
        return writer(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(inst.storage("second"), "writer", slow)
    run = execute_run(inst, run_id, worker="test:1", started=active.append)
    assert run.state == "cancelled"
    failed = copies(inst, backup)["second"]
    assert (failed.state, failed.error) == ("failed", "Cancelled by ada.")
    assert failed.next_attempt_at is not None
    assert failed.next_attempt_at - inst.clock() > LONGEST_PAUSE - timedelta(minutes=5)
    assert keys_in(inst, "second") == []
    assert inst.storage("second").unfinished() == []
    assert inst.catalog.runs.leftovers(run_id) == []
