"""Copies in storages that the settings do not name: unknown, neither good nor proven, and touched by nobody."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from services import commands
from services.backups.rebuild import rebuild
from services.capacity.storage_use import load_storage_report
from services.catalog.inventory import InventoryQuery, search
from services.catalog.unnamed import settle_unnamed
from services.errors import InputError, UnknownName
from services.health.checks import examine
from services.installation import open_configured
from services.jobs import worker
from services.jobs.identity import process_identity
from services.overview import load_statuses
from services.retention.by_hand import check_deletable
from services.settings.model import StorageSettings
from tests.retention.lab import DAY, NOW, Lab
from tests.support.installations import make_settings


def reopened(lab: Lab, **storages: str) -> Lab:
    """Return the same catalogue, opened with other storages: name=folder in the lab's home."""
    home = lab.settings.home
    named = tuple(StorageSettings(name=name, url=f"file://{home / folder}") for name, folder in storages.items())
    return Lab(lab.settings.model_copy(update={"storages": named}))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(make_settings(tmp_path))
    made.store("old", NOW - 3 * DAY)
    made.store("newest", NOW, proven=True)
    return made


def unnamed(lab: Lab) -> list[tuple[str, str]]:
    [found] = [check for check in examine(lab.inst).checks if check.name == "unnamed_storage"]
    return [(found.severity, found.sentence)] if found.severity != "ok" else []


def test_what_lies_only_in_a_storage_that_is_not_named_is_neither_good_nor_proven_nor_counted(lab: Lab) -> None:
    assert unnamed(lab) == []
    renamed = reopened(lab, local="storage")
    backup = renamed.get("newest")
    assert (backup.is_good, backup.is_proven, backup.is_unknown) == (False, False, True)
    catalog = renamed.inst.catalog
    assert (catalog.backups.latest_good("la_factoria"), catalog.backups.latest_proven("la_factoria")) == (None, None)
    [status] = load_statuses(renamed.inst)
    assert not status.is_restorable
    assert (status.evidence.good_backups, status.evidence.last_passed) == (0, None)
    [(severity, sentence)] = unnamed(renamed)
    assert severity == "failure"
    assert sentence.startswith("2 backups lie only in storage primary, which the settings do not name")
    well = {check.name for check in examine(renamed.inst).checks if check.severity == "ok" and check.subject.name}
    assert not well & {"verification", "restore_test", "backup_age"}
    [own, gone] = load_storage_report(renamed.inst).cards
    assert (own.name, own.used.copies, gone.name, gone.is_known) == ("local", 0, "primary", False)
    for proof, count in (("proven", 0), ("not proven", 2)):
        assert search(catalog.engine, InventoryQuery(proof=proof))[1] == count  # type: ignore[arg-type]

    assert reopened(lab, primary="storage").get("newest").is_proven, "named again, it is what it was"


def test_no_cleanup_touches_it_and_a_deletion_says_so_before_anything_is_removed(lab: Lab) -> None:
    for number in range(10, 14):
        lab.store(f"d{number}", NOW - number * DAY)
    renamed = reopened(lab, local="storage")
    before = renamed.keys("local")
    assert [backup.decision.reasons[-1] for backup in renamed.plan().backups] == ["unnamed storage"] * 6
    assert renamed.clean().result["outcome"] == "nothing to delete"
    [one] = [backup for backup in renamed.plan().backups if backup.name == "old"]
    with pytest.raises(InputError, match="a copy of it lies in a storage that the settings do not name") as refused:
        check_deletable(one, 3, forced=True)
    assert "backups forget-storage" in (refused.value.hint or "")
    run = renamed.delete(renamed.get("old"), force_reason="really")
    assert [(item["outcome"], item["error"]) for item in run.result["items"]] == [
        ("skipped", "a copy of it lies in primary, which the settings do not name")
    ]
    assert renamed.states() == dict.fromkeys(renamed.states(), "finished")
    assert renamed.keys("local") == before


def test_a_backup_with_a_copy_in_a_named_storage_stays_good_and_is_kept_until_the_other_is_forgotten(
    tmp_path: Path,
) -> None:
    lab = Lab(make_settings(tmp_path))
    both = reopened(lab, primary="storage", second="second")
    for number in range(5):
        both.store(f"d{number}", NOW - number * 400 * DAY, storages=("primary", "second"))
    both.store("only", NOW - 2 * DAY, storages=("second",))
    left = reopened(both, primary="storage")
    assert (left.get("d0").is_good, left.get("only").is_good) == (True, False)
    [(severity, sentence)] = unnamed(left)
    assert (severity, sentence.split(",")[0]) == ("failure", "1 backup lies only in storage second")
    with pytest.raises(InputError, match="The settings name storage primary"):
        commands.forget_storage(left.inst, "primary", actor="ada")
    with pytest.raises(UnknownName, match="Known: second"):
        commands.forget_storage(left.inst, "third", actor="ada")
    assert commands.forget_storage(left.inst, "second", actor="ada", reason="sold") == (6, 1)
    assert unnamed(left) == []
    assert left.states() == {**dict.fromkeys((f"d{n}" for n in range(5)), "finished"), "only": "expired"}

    rebuild(reopened(both, primary="storage", second="second").inst)
    assert {copy.storage for copy in both.get("d0").copies if copy.state == "stored"} == {"primary", "second"}
    assert both.get("only").is_good, "nothing was deleted: it is found again"


@pytest.mark.parametrize("signs", [True, False])
def test_a_rebuild_takes_over_what_lies_in_the_same_folder_under_its_new_name(tmp_path: Path, signs: bool) -> None:
    lab = Lab(make_settings(tmp_path, **({} if signs else {"encryption_key": None})))
    trust = "signed" if signs else "unsigned"
    lab.store("old", NOW - 3 * DAY, trust=trust)
    lab.store("newest", NOW, proven=True, trust=trust)
    renamed = reopened(lab, local="storage")
    assert rebuild(renamed.inst).is_well
    backup = renamed.get("newest")
    assert [(copy.storage, copy.state) for copy in backup.copies] == [("local", "stored")]
    assert backup.is_proven
    assert unnamed(renamed) == []
    assert [card.used.copies for card in load_storage_report(renamed.inst).cards] == [2]
    assert renamed.delete(renamed.get("old"), force_reason="really").result["deleted"] == 1
    assert renamed.keys("local", "old") == []


def test_a_worker_brings_back_what_another_process_with_other_settings_took_for_lost(lab: Lab) -> None:
    open_configured(reopened(lab, local="storage").settings).close()
    assert not lab.get("newest").is_good
    worker._recover(worker._State(lab.inst, process_identity(), ("default",), threading.Event()))
    assert lab.get("newest").is_proven
    assert settle_unnamed(lab.inst.catalog.engine, ["primary"]) == 0, "there is nothing left to do"
