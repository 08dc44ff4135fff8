"""Deletions by hand, and pins."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services import commands
from services.backups.marks import write_mark
from services.backups.rebuild import rebuild
from services.errors import InputError, StorageUnavailable, UnknownName
from services.retention.by_hand import check_deletable, choose_older
from services.retention.pins import store_waiting_pins
from tests.retention.lab import DAY, NOW, Lab, lab_settings


def outcomes(run: object) -> dict[str, tuple[str, str]]:
    return {item["name"]: (item["outcome"], item["error"]) for item in run.result["items"]}  # type: ignore[attr-defined]


def test_a_deletion_by_hand_takes_what_the_tiers_keep_and_says_who_and_why(lab: Lab) -> None:
    backups = lab.daily(10)
    run = lab.delete(backups[4], backups[6], reason="a customer's data must go")
    assert outcomes(run) == {"d6": ("deleted", ""), "d4": ("deleted", "")}
    [item] = [item for item in run.result["items"] if item["name"] == "d4"]
    assert item["why"] == "by hand"
    assert item["tiers"] == ["daily"]
    [row] = lab.inst.catalog.deletions.list(backup_id=backups[4].id)
    assert (row.reason, row.note, row.actor) == ("by hand", "a customer's data must go", "ada")
    assert sum(state == "finished" for state in lab.states().values()) == 8


def test_the_newest_good_and_proven_ones_go_by_hand_only_with_a_reason(lab: Lab) -> None:
    backups = lab.daily(5)
    proven = lab.store("proven", NOW - 50 * DAY, proven=True)
    run = lab.delete(backups[0], backups[2], proven)
    assert outcomes(run) == {"proven": ("skipped", "proven"), "d2": ("skipped", "minimum"),
                             "d0": ("skipped", "minimum")}  # fmt: skip
    assert set(lab.states().values()) == {"finished"}
    forced = lab.delete(backups[0], proven, force_reason="both hold a leaked key")
    assert outcomes(forced) == {"proven": ("deleted", ""), "d0": ("deleted", "")}
    [row] = lab.inst.catalog.deletions.list(backup_id=proven.id)
    assert row.note == "Forced: both hold a leaked key"


def test_a_pinned_one_never_goes_by_hand_not_even_with_a_reason(lab: Lab) -> None:
    lab.daily(5)
    pinned = lab.store("pinned", NOW - 50 * DAY, pinned=True)
    assert outcomes(lab.delete(pinned, force_reason="really")) == {"pinned": ("skipped", "pinned")}
    commands.set_pin(lab.inst, pinned.id, pinned=False, actor="ada")
    assert outcomes(lab.delete(pinned)) == {"pinned": ("deleted", "")}


def test_what_is_older_than_an_age_is_chosen_and_what_is_protected_is_spared_with_its_reason(lab: Lab) -> None:
    lab.daily(5, first=40)
    lab.store("pinned", NOW - 60 * DAY, pinned=True)
    lab.store("proven", NOW - 61 * DAY, proven=True)
    lab.store("base", NOW - 62 * DAY, type="base")
    lab.store("young", NOW - 30 * DAY, excluded=("logs",))
    read = lab.get("d43")
    commands.submit_verification(lab.inst, read.id, "checksum", actor="eve", queue=False)
    choice = choose_older([lab.plan()], NOW - 30 * DAY, forced=False)
    assert [backup.name for backup in choice.going] == ["d44"], "not the one of exactly that age"
    assert {backup.name: why for backup, why in choice.spared} == {
        "base": "a base backup; it goes with its window", "proven": "the newest proven backup", "pinned": "pinned",
        "d43": "a run works on it", **{f"d{n}": "one of the 3 newest good backups" for n in (40, 41, 42)},
    }  # fmt: skip
    forced = choose_older([lab.plan()], NOW - 30 * DAY + timedelta(microseconds=1), forced=True)
    assert [backup.name for backup in forced.going] == ["proven", "d44", "d42", "d41", "d40", "young"]


@pytest.mark.parametrize(
    ("name", "hint"), [("pinned", "backups unpin"), ("d0", "--force REASON"), ("read", "backups runs")]
)
def test_a_backup_that_is_named_and_protected_is_refused_with_what_to_do(lab: Lab, name: str, hint: str) -> None:
    lab.daily(3)
    lab.store("pinned", NOW - 60 * DAY, pinned=True)
    lab.store("read", NOW - 61 * DAY)
    commands.submit_verification(lab.inst, lab.get("read").id, "checksum", actor="eve", queue=False)
    [backup] = [backup for backup in lab.plan().backups if backup.name == name]
    with pytest.raises(InputError, match=f"{name} is not deleted") as caught:
        check_deletable(backup, 3, forced=False)
    assert hint in caught.value.hint
    if name == "d0":
        check_deletable(backup, 3, forced=True)
        with pytest.raises(InputError, match="the newest good backup"):
            check_deletable(backup, 1, forced=False)


def test_a_pin_holds_at_once_and_survives_the_loss_of_the_catalogue(lab: Lab) -> None:
    lab.daily(8)
    old = lab.store("old", NOW - 90 * DAY, storages=("primary", "second"))
    older = lab.store("older", NOW - 90 * DAY - timedelta(hours=2), pinned=True)
    commands.set_pin(lab.inst, old.id, pinned=True, actor="ada", reason="  for the audit  ")
    commands.set_pin(lab.inst, older.id, pinned=False, actor="eve")
    assert (lab.get("old").pinned, lab.get("older").pinned) == (True, False)
    assert {pin.backup_id for pin in lab.inst.catalog.pins.waiting()} == {old.id, older.id}
    assert store_waiting_pins(lab.inst) == []
    assert lab.inst.catalog.pins.waiting() == []
    for storage in ("primary", "second"):
        assert "mark-pin.json" in lab.keys(storage, name="old")
    new = lab.emptied()
    assert rebuild(new.inst).unreadable == []
    assert (new.get("old").pinned, new.get("older").pinned) == (True, False)
    pin = new.inst.catalog.pins.get(old.id)
    assert pin is not None
    assert (pin.actor, pin.reason, pin.at, pin.stored) == ("ada", "for the audit", NOW, True)
    assert {item["name"] for item in new.clean().result["items"]} == {"older"}
    new.inst.close()


def test_the_last_word_of_several_counts_also_when_one_storage_has_an_older_one(lab: Lab) -> None:
    lab.daily(8)
    old = lab.store("old", NOW - 90 * DAY, storages=("primary", "second"))
    commands.set_pin(lab.inst, old.id, pinned=True, actor="ada")
    store_waiting_pins(lab.inst)
    lab.now += timedelta(seconds=1)
    commands.set_pin(lab.inst, old.id, pinned=False, actor="ada")
    second = lab.inst.storage("second")
    said = second.get("la_factoria/old.mark-pin.json")
    store_waiting_pins(lab.inst)
    second.put("la_factoria/old.mark-pin.json", said)
    new = lab.emptied()
    rebuild(new.inst)
    assert not new.get("old").pinned
    new.inst.close()


def test_a_pin_waits_for_a_storage_that_is_away(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.daily(3)
    storage = lab.inst.storage("primary")

    def away(key: str, data: bytes) -> None:
        raise StorageUnavailable("No answer.")

    with monkeypatch.context() as patched:
        patched.setattr(storage, "put", away)
        commands.set_pin(lab.inst, lab.get("d1").id, pinned=True, actor="ada")
        [problem] = store_waiting_pins(lab.inst)
        assert "d1" in problem
        assert "No answer." in problem
    assert lab.get("d1").pinned
    assert len(lab.inst.catalog.pins.waiting()) == 1
    assert store_waiting_pins(lab.inst) == []
    assert lab.inst.catalog.pins.waiting() == []


def test_a_word_that_is_said_while_an_earlier_one_is_stored_is_stored_as_well(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.daily(3)
    backup = lab.get("d1")
    commands.set_pin(lab.inst, backup.id, pinned=True, actor="ada")
    storage = lab.inst.storage("primary")
    put = storage.put

    def unpin_meanwhile(key: str, data: bytes) -> object:
        monkeypatch.undo()
        lab.now += timedelta(seconds=1)
        commands.set_pin(lab.inst, backup.id, pinned=False, actor="ada")
        return put(key, data)

    monkeypatch.setattr(storage, "put", unpin_meanwhile)
    store_waiting_pins(lab.inst)
    [waiting] = lab.inst.catalog.pins.waiting()
    assert not waiting.pinned


def test_a_rebuild_takes_the_later_word_of_catalogue_and_storage(lab: Lab) -> None:
    """The catalogue may have been restored from a copy of yesterday; and a word may not be stored yet."""
    backup = lab.store("old", NOW - 50 * DAY)
    yesterday = lab.emptied()
    rebuild(yesterday.inst)
    commands.set_pin(lab.inst, backup.id, pinned=True, actor="ada", reason="audit")
    store_waiting_pins(lab.inst)
    rebuild(yesterday.inst)
    assert yesterday.get("old").pinned
    lab.now += timedelta(seconds=1)
    commands.set_pin(lab.inst, backup.id, pinned=False, actor="ada")
    rebuild(lab.inst)
    assert not lab.get("old").pinned
    assert len(lab.inst.catalog.pins.waiting()) == 1
    yesterday.inst.close()


@pytest.mark.parametrize("state", ["expired", "deleting"])
def test_a_pin_on_what_is_gone_is_refused_and_changes_nothing(lab: Lab, state: str) -> None:
    backup = lab.store("gone", NOW - 50 * DAY, state=state)
    with pytest.raises(InputError, match=r"gone (has expired|is being deleted)") as caught:
        commands.set_pin(lab.inst, backup.id, pinned=True, actor="ada")
    assert caught.value.exit_code == 2
    assert not lab.get("gone").pinned
    assert lab.inst.catalog.pins.get(backup.id) is None
    with pytest.raises(UnknownName):
        commands.set_pin(lab.inst, "nobody", pinned=True, actor="ada")


def test_a_pin_that_somebody_else_signed_or_that_speaks_of_other_bytes_is_not_believed(
    lab: Lab, tmp_path: object
) -> None:
    backup = lab.store("old", NOW - 50 * DAY)
    other = lab.store("other", NOW - 51 * DAY)
    storage = lab.inst.storage("primary")
    stranger = lab_settings(lab.settings.home)
    write_mark(stranger, storage, backup, "pin", set=True, at=NOW, actor="mallory", reason="")
    from dataclasses import replace

    write_mark(
        lab.settings, storage, replace(other, sha256="f" * 64), "deletion", set=True, at=NOW, actor="m", reason=""
    )
    new = lab.emptied()
    report = rebuild(new.inst)
    assert len(report.unreadable) == 1
    assert "signature of this mark" in report.unreadable[0]
    assert not new.get("old").pinned
    assert new.get("other").state == "finished"
    storage.put("la_factoria/elsewhere.mark-pin.json", storage.get("la_factoria/other.mark-deletion.json"))
    again = lab.emptied()
    assert len(rebuild(again.inst).unreadable) == 2
    for one in (new, again):
        one.inst.close()
