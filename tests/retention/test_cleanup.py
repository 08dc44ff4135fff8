"""A cleanup of real storages: what goes, what stays, what is said, and what may not be lost whatever happens."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import services.retention.delete_backup as deleting
from services import commands
from services.backups.rebuild import rebuild
from services.catalog.model import Run
from services.errors import InputError, UnknownName
from services.retention.report import LISTED
from tests.retention.conftest import on_both_engines
from tests.retention.lab import CONTENT, DAY, NOW, Lab, lab_settings

MONTH_OLD = [f"d{n}" for n in range(8, 30) if n not in (14, 21, 22)]
"""Of thirty daily backups up to Sunday, 22 November, those that no tier keeps."""


def outcomes(run: Run) -> dict[str, str]:
    return {item["name"]: item["outcome"] for item in run.result["items"]}


def before_each_deletion(monkeypatch: pytest.MonkeyPatch, act: Callable[[str], None]) -> None:
    """Have ``act`` called with the backup's id after the plan was made, right before each deletion is begun."""
    begin = deleting.delete_backup

    def delayed(installation: Any, backup_id: str, *more: Any) -> Any:
        act(backup_id)
        return begin(installation, backup_id, *more)

    monkeypatch.setattr("services.retention.cleanup.delete_backup", delayed)


def test_a_dry_run_says_what_would_go_and_why_and_changes_nothing(lab: Lab) -> None:
    lab.daily(30)
    before = lab.states(), lab.keys()
    run = lab.clean(apply=False)
    assert run.state == "finished"
    assert [item["name"] for item in run.result["items"]] == sorted(MONTH_OLD, key=lambda n: -int(n[1:]))
    assert {item["why"] for item in run.result["items"]} == {"outside every tier"}
    assert run.result["bytes"] == len(MONTH_OLD) * len(CONTENT)
    assert (run.result["outcome"], run.result["applied"], run.result["kept"]) == ("planned", False, 11)
    assert run.result["reason"] == "19 backups would go, 589 B."
    assert (lab.states(), lab.keys()) == before
    assert lab.inst.catalog.deletions.list() == []


@on_both_engines
def test_what_no_tier_keeps_goes_from_every_storage_with_all_that_lies_beside_it(lab: Lab) -> None:
    lab.daily(30, storages=("primary", "second"))
    commands.set_pin(lab.inst, lab.get("d20").id, pinned=True, actor="ada", reason="audit")
    run = lab.clean(reason="the disk is filling")
    gone = [name for name in MONTH_OLD if name != "d20"]
    assert run.state == "finished"
    assert outcomes(run) == dict.fromkeys(gone, "deleted")
    assert {name for name, state in lab.states().items() if state == "expired"} == set(gone)
    for storage in ("primary", "second"):
        names = {key.removeprefix("la_factoria/").partition(".")[0] for key in lab.keys(storage)}
        assert names == {f"d{n}" for n in range(30)} - set(gone)
    expired = lab.get("d9")
    assert expired.expired_at == NOW
    assert {copy.state for copy in expired.copies} == {"deleted"}
    assert expired.verification_passed is True, "rows are history"
    log = lab.inst.catalog.deletions.list()
    assert len(log) == 2 * len(gone)
    assert {(row.outcome, row.reason, row.note, row.actor, row.run_id) for row in log} == {
        ("deleted", "outside every tier", "the disk is filling", "ada", run.id)
    }
    assert {(row.storage, row.key) for row in log if row.backup_name == "d9"} == {
        ("primary", "la_factoria/d9.dump.zst.age"), ("second", "la_factoria/d9.dump.zst.age")
    }  # fmt: skip
    assert run.result["freed_bytes"] == 2 * len(gone) * len(CONTENT)
    again = lab.clean()
    assert (again.result["outcome"], again.result["items"]) == ("nothing to delete", [])


def test_each_database_has_its_own_policy_and_others_are_not_touched(tmp_path: Path) -> None:
    settings = lab_settings(tmp_path, databases=("la_factoria", "billing", "paused"))
    short = settings.databases[1].retention.model_copy(update={"daily": 2, "weekly": 0, "monthly": 0, "yearly": 0})
    databases = (settings.databases[0], settings.databases[1].model_copy(update={"retention": short}))
    lab = Lab(settings.model_copy(update={"databases": (*databases, settings.databases[2])}))
    for database in ("la_factoria", "billing", "forgotten"):
        for n in range(8):
            lab.store(f"{database}{n}", NOW - n * DAY, database=database)
    only = lab.clean(database="billing")
    assert set(outcomes(only)) == {f"billing{n}" for n in range(3, 8)}
    everything = lab.clean()
    assert set(outcomes(everything)) == set(), "seven days and a week; the forgotten one has no policy"
    assert {b.state for b in lab.inst.catalog.backups.list(database="forgotten")} == {"finished"}
    with pytest.raises(UnknownName):
        commands.submit_cleanup(lab.inst, database="biling", actor="ada", queue=False)


def test_only_what_somebody_confirmed_is_deleted_and_not_what_became_needed_since(lab: Lab) -> None:
    lab.daily(30)
    seen = [lab.get(name).id for name in ("d9", "d10", "d11", "d0")]
    commands.set_pin(lab.inst, lab.get("d10").id, pinned=True, actor="ada")
    run = lab.clean(only=seen)
    assert outcomes(run) == {"d9": "deleted", "d10": "kept", "d11": "deleted", "d0": "kept"}
    errors = {item["name"]: item["error"] for item in run.result["items"]}
    assert errors["d10"] == "pinned"
    assert sum(state == "expired" for state in lab.states().values()) == 2
    assert run.result["reason"] == "2 backups deleted, 62 B freed; 2 kept since it was confirmed."


def test_more_than_can_be_looked_at_is_not_confirmed_at_once(lab: Lab) -> None:
    with pytest.raises(InputError, match="one confirmation") as caught:
        commands.submit_cleanup(lab.inst, only=["x"] * 5001, actor="ada", queue=False)
    assert "5,000" in caught.value.hint
    with pytest.raises(InputError, match="nothing to delete"):
        commands.submit_deletion(lab.inst, [], actor="ada", queue=False)
    assert lab.inst.catalog.runs.list() == []


def test_a_long_list_is_cut_in_the_runs_result_and_whole_in_the_log(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.daily(30)
    monkeypatch.setattr("services.retention.report.LISTED", 3)
    run = lab.clean()
    assert (len(run.result["items"]), run.result["backups"], run.result["deleted"]) == (3, 19, 19)
    assert len(lab.inst.catalog.deletions.list()) == 19
    assert LISTED == 1000


@on_both_engines
def test_a_backup_that_was_pinned_after_the_plan_is_not_deleted(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.daily(30)
    chosen = lab.get("d9").id

    def pin_it(backup_id: str) -> None:
        if backup_id == chosen:
            commands.set_pin(lab.inst, chosen, pinned=True, actor="eve")

    before_each_deletion(monkeypatch, pin_it)
    run = lab.clean()
    assert outcomes(run)["d9"] == "skipped"
    assert lab.get("d9").state == "finished"
    assert "dump.zst.age" in lab.keys(name="d9")


@on_both_engines
def test_what_became_the_newest_good_one_after_the_plan_is_not_deleted(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All newer ones are found damaged while the cleanup works: three must be left whatever the plan said."""
    lab.daily(30)
    newer = [lab.get(f"d{n}") for n in range(8)]

    def find_damage(_: str) -> None:
        for backup in newer:
            if lab.inst.catalog.backups.get(backup.id).verification_passed:
                lab.check(backup, "checksum", "failed")

    before_each_deletion(monkeypatch, find_damage)
    run = lab.clean()
    good = [backup.name for backup in lab.inst.catalog.backups.list() if backup.is_good]
    assert good[:3] == ["d8", "d9", "d10"]
    assert {name: word for name, word in outcomes(run).items() if word == "skipped"} == {
        "d8": "skipped", "d9": "skipped", "d10": "skipped"
    }  # fmt: skip


def test_the_newest_proven_one_is_never_deleted(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.daily(8)
    proven = [lab.store(f"p{n}", NOW - n * DAY, proven=True) for n in (10, 11)]
    run = lab.clean()
    assert outcomes(run) == {"p11": "deleted"}
    assert lab.get("p10").proven_at is not None
    lab.store("p9", NOW - 9 * DAY - timedelta(hours=3), proven=True)
    before_each_deletion(monkeypatch, lambda _: lab.check(lab.get("p9"), "restore", "failed"))
    again = lab.clean(only=[proven[0].id])
    assert outcomes(again) == {"p10": "skipped"}, "the newer proof fell while it worked"


def test_a_folder_that_is_not_mounted_loses_nothing(lab: Lab, tmp_path: Path) -> None:
    lab.daily(30)
    (tmp_path / "primary").rename(tmp_path / "elsewhere")
    run = lab.clean()
    assert run.result["outcome"] == "partly failed"
    assert set(outcomes(run).values()) == {"failed"}
    assert set(lab.states().values()) == {"finished"}
    assert not (tmp_path / "primary").exists(), "nothing was written where the disk should be"
    [error] = {copy.deletion_error for copy in lab.get("d9").copies}
    assert "Is its disk mounted?" in error
    (tmp_path / "elsewhere").rename(tmp_path / "primary")
    assert lab.clean().result["deleted"] == len(MONTH_OLD)
    assert {copy.deletion_error for copy in lab.get("d9").copies} == {""}


def test_a_backup_of_which_nothing_is_there_is_said_to_be_missing_not_deleted(lab: Lab, tmp_path: Path) -> None:
    lab.daily(12)
    for file in (tmp_path / "primary" / "la_factoria").glob("d9.*"):
        file.unlink()
    run = lab.clean()
    assert outcomes(run) == {"d8": "deleted", "d9": "failed", "d10": "deleted", "d11": "deleted"}
    missing = lab.get("d9")
    assert (missing.state, missing.is_good) == ("finished", False)
    assert missing.copies[0].state == "missing"
    assert "Neither the object nor its manifest is there" in missing.copies[0].deletion_error
    assert outcomes(lab.clean()) == {"d9": "deleted"}, "now that it was said, its row expires"


def test_the_objects_of_somebody_else_are_let_be(lab: Lab) -> None:
    backups = lab.daily(12)
    stranger = replace(backups[9], id="somebody-else")
    from services.backups.manifest import to_document, write_manifest

    write_manifest(lab.settings, lab.inst.storage("primary"), to_document(stranger, None))
    run = lab.clean()
    assert outcomes(run)["d9"] == "failed"
    assert "dump.zst.age" in lab.keys(name="d9")
    assert lab.get("d9").state == "finished"
    assert "another backup" in lab.get("d9").copies[0].deletion_error


def test_a_storage_that_only_says_that_it_deleted_is_not_believed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.daily(12)
    storage = lab.inst.storage("primary")
    delete = storage.delete
    monkeypatch.setattr(storage, "delete", lambda key: None if "d9.dump" in key else delete(key))
    run = lab.clean()
    assert outcomes(run) == {"d8": "deleted", "d9": "failed", "d10": "deleted", "d11": "deleted"}
    kept = lab.get("d9")
    assert (kept.state, kept.is_good) == ("finished", True), "it is there, whole, and not marked any more"
    assert "still there" in kept.copies[0].deletion_error
    assert kept.copies[0].deletion_failed_at == NOW
    assert "mark-deletion.json" not in lab.keys(name="d9")
    [failed] = lab.inst.catalog.deletions.list(outcome="failed")
    assert (failed.backup_name, failed.storage) == ("d9", "primary")


def test_a_copy_that_is_gone_and_one_that_is_refused_leave_a_backup_with_one_copy(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.daily(12, storages=("primary", "second"))
    second = lab.inst.storage("second")
    monkeypatch.setattr(second, "delete", lambda key: None)
    run = lab.clean()
    assert set(outcomes(run).values()) == {"failed"}
    half = lab.get("d9")
    assert half.state == "finished"
    assert {copy.storage: copy.state for copy in half.copies} == {"primary": "deleted", "second": "stored"}
    assert half.is_good
    assert lab.keys(name="d9") == []
    monkeypatch.undo()
    assert set(outcomes(lab.clean()).values()) == {"deleted"}
    assert lab.keys("second", name="d9") == []
    log = lab.inst.catalog.deletions.list(backup_id=half.id)
    assert sorted((row.storage, row.outcome) for row in log) == [
        ("primary", "deleted"), ("second", "deleted"), ("second", "failed")
    ]  # fmt: skip


def test_a_rebuild_gives_the_same_inventory_tiers_and_proofs(lab: Lab, tmp_path: Path) -> None:
    lab.daily(30)
    lab.store("proven", NOW - 15 * DAY, proven=True)
    lab.store("partial", NOW - 3 * DAY, excluded=("public.logs",))
    lab.store("deploy", NOW - 12 * DAY, type="on-demand", note="before 4.2")
    lab.check(lab.store("damaged", NOW - 2 * DAY), "checksum", "failed")
    pinned, unpinned = lab.store("pinned", NOW - 90 * DAY), lab.store("unpinned", NOW - 91 * DAY, pinned=True)
    commands.set_pin(lab.inst, pinned.id, pinned=True, actor="ada", reason="audit")
    commands.set_pin(lab.inst, unpinned.id, pinned=False, actor="ada")
    from services.retention.pins import store_waiting_pins

    assert store_waiting_pins(lab.inst) == []
    lab.clean()
    new = lab.emptied()
    report = rebuild(new.inst)
    assert (report.unreadable, report.half_deleted, report.incomplete) == ([], [], [])

    def seen(lab: Lab) -> list[tuple[Any, ...]]:
        return [(p.id, p.name, p.candidate, p.decision) for p in lab.plan().backups]

    assert seen(new) == seen(lab)
    assert len(seen(new)) > 12
    pin = new.inst.catalog.pins.get(pinned.id)
    assert pin is not None
    assert (pin.pinned, pin.actor, pin.reason, pin.stored) == (True, "ada", "audit", True)
    new.inst.close()
    shutil.rmtree(tmp_path / "second")
