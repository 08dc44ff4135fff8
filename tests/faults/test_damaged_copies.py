"""Of two copies one is damaged or gone, really: what is lost is said, and no more than that."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from services import commands
from services.alerts.evaluate import evaluate
from services.alerts.neighbours import AT_ONCE
from services.alerts.store import open_alerts
from services.backups.damage import tell_damage
from services.backups.look_again import AGAIN_AFTER, LONGEST_PAUSE, look_again
from services.backups.mounted import MARK
from services.catalog.model import Backup, Outcome, Run
from services.health.checks import examine
from services.health.model import HealthCheck
from services.installation import Installation
from services.overview import load_statuses
from services.settings.model import VerificationLevel
from services.storage.local import LocalStorage
from services.storage.protocol import StoredObject
from tests.catalog.rows import make_verification
from tests.pages.conftest import OpenPage, everything, open_page  # noqa: F401 - a fixture
from tests.support.stored import AT, carry_out, flip, folder_storage, installation_on, store_backup
from tests.support.time import TestClock

DAY = timedelta(days=1)


@pytest.fixture
def clock() -> TestClock:
    made = TestClock()
    made.now = AT + timedelta(hours=1)
    return made


@pytest.fixture
def inst(tmp_path: Path, clock: TestClock) -> Installation:
    """Three backups, a day between two, each in two folders and each copy read to its end."""
    made = installation_on(
        tmp_path, folder_storage(tmp_path, "primary"), folder_storage(tmp_path, "second"), clock=clock
    )
    for day, name in enumerate(("b1", "b2", "b3")):
        backup = store_backup(made, name, at=AT - (2 - day) * DAY)
        assert carry_out(made, commands.submit_copy(made, backup.id, "second", actor="ada", queue=False)).error == ""
        verify(made, backup, "primary")
    return made


def verify(inst: Installation, backup: Backup, storage: str, level: VerificationLevel = "checksum") -> Run:
    assert isinstance(inst.clock, TestClock)
    inst.clock.forward(seconds=1)  # what ends at the same instant has no order
    asked = commands.submit_verification(inst, backup.id, level, storage=storage, actor="ada", queue=False)
    return carry_out(inst, asked)


def named(inst: Installation, name: str) -> Backup:
    return inst.catalog.backups.find(name)


def check(inst: Installation, name: str, subject: str = "la_factoria") -> HealthCheck:
    [found] = [c for c in examine(inst).checks if c.name == name and c.subject.name == subject]
    return found


def object_of(tmp_path: Path, name: str, storage: str) -> Path:
    [found] = (tmp_path / storage / "la_factoria").glob(f"{name}.dump*")
    found.chmod(0o600)
    return found


def test_a_damaged_copy_is_told_as_that_and_what_lies_beside_it_is_verified(
    inst: Installation, tmp_path: Path, clock: TestClock, open_page: OpenPage  # noqa: F811
) -> None:  # fmt: skip
    flip(object_of(tmp_path, "b2", "second"))
    verify(inst, named(inst, "b2"), "second")
    assert named(inst, "b2").is_good
    found = check(inst, "corruption")
    assert found.severity == "warning"
    assert found.sentence.startswith("The copy of b2 in second is damaged; the backup is safe in primary.")
    assert "No backup that is kept is proven." in found.sentence

    assert evaluate(inst, by="test", force=True) is not None
    asked = {
        (inst.catalog.backups.get(run.backup_id or "").name, run.params["storage"])
        for run in inst.catalog.runs.list(kind="verification", states=["queued"])
    }
    assert asked == {("b2", "primary"), ("b1", "second"), ("b3", "second")}
    [alert] = [a for a in open_alerts(inst.catalog.engine) if a.check == "corruption"]
    assert alert.action == "What lies beside b2 is being verified, too: b2, b1, b3."
    assert not inst.catalog.runs.list(kind="backup"), "nothing is lost, so no new backup is started"
    clock.now += timedelta(minutes=5)
    evaluate(inst, by="test", force=True)
    assert len(inst.catalog.runs.list(kind="verification", states=["queued"])) == 3, "each is asked for once"
    shown = open_page(inst, "inventory", backup=named(inst, "b2").id)
    assert not shown.exception
    assert "Its copy in second is damaged. The backup is safe in primary" in everything(shown).replace("\\", "")


def test_what_lies_between_many_damaged_copies_is_verified_once_and_few_at_once(
    inst: Installation, tmp_path: Path, clock: TestClock
) -> None:
    """Every second of seven copies in one storage is damaged, and a person has all of them verified."""
    names = [f"d{number}" for number in range(7)]
    for number, name in enumerate(names):
        backup = store_backup(inst, name, at=AT - timedelta(minutes=50 - number))
        carry_out(inst, commands.submit_copy(inst, backup.id, "second", actor="ada", queue=False))
    for name in names[::2]:
        flip(object_of(tmp_path, name, "second"))
        verify(inst, named(inst, name), "second")
    verified: list[tuple[str, str]] = []
    for _ in range(20):
        evaluate(inst, by="test", force=True)
        waiting = inst.catalog.runs.list(kind="verification", states=["queued"])
        assert len(waiting) < AT_ONCE + 3, "a finding more is begun while fewer than the limit wait"
        if not waiting:
            break
        for run in waiting:
            verified.append((named_by(inst, run), run.params["storage"]))
            carry_out(inst, run.id)
        clock.forward(seconds=60)
    assert len(verified) == len(set(verified)), "none twice"
    assert {(name, "second") for name in names[1::2]} | {(name, "primary") for name in names[::2]} <= set(verified)


def named_by(inst: Installation, run: Run) -> str:
    return inst.catalog.backups.get(run.backup_id or "").name


def test_a_restore_test_that_met_a_damaged_copy_does_not_make_the_database_unprotected(inst: Installation) -> None:
    proven = named(inst, "b3")
    tests: tuple[tuple[str, Outcome], ...] = (("primary", "passed"), ("second", "failed"))
    for storage, outcome in tests:
        assert isinstance(inst.clock, TestClock)
        detail = {"scope": "copy", "copy_state": "damaged"} if outcome == "failed" else {}
        at = inst.clock.forward(seconds=2)
        made = make_verification(proven, "restore", outcome, at=at, storage=storage, detail=detail)
        inst.catalog.verifications.add(made)
    [status] = load_statuses(inst)
    assert status.state == "AT RISK"
    assert status.reasons[0].text.startswith("The restore test of b3 met a damaged copy in second")
    assert named(inst, "b3").proven_at is not None


def test_only_when_no_other_copy_vouches_for_it_is_it_lost(inst: Installation, tmp_path: Path) -> None:
    with inst.catalog.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE backups SET proven_at = finished_at WHERE name = 'b1'")
    for storage in ("primary", "second"):
        flip(object_of(tmp_path, "b2", storage))
        verify(inst, named(inst, "b2"), storage)
    found = check(inst, "corruption")
    assert found.severity == "failure"
    assert "Damaged: b2; no other copy vouches for it, so what it held is lost." in found.sentence
    assert "The newest proven one is b1, 2 d old." in found.sentence
    damage = tell_damage(inst, named(inst, "b2"))
    assert damage is not None
    assert (damage.is_lost, damage.proven) == (True, named(inst, "b1"))
    assert tell_damage(inst, named(inst, "b1")) is None


def test_a_second_copy_that_was_never_checked_is_neither_safe_nor_lost(tmp_path: Path, clock: TestClock) -> None:
    inst = installation_on(
        tmp_path, folder_storage(tmp_path, "primary"), folder_storage(tmp_path, "second"), clock=clock
    )
    backup = store_backup(inst, "b1")
    carry_out(inst, commands.submit_copy(inst, backup.id, "second", actor="ada", queue=False))
    with inst.catalog.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM verifications")
    flip(object_of(tmp_path, "b1", "primary"))
    verify(inst, backup, "primary")
    found = check(inst, "corruption")
    assert "its copy in second was not read yet, so nobody knows whether that is whole" in found.sentence
    assert found.hint.startswith("Run: backups verify b1 --storage second.")


def test_a_copy_that_was_only_looked_at_is_not_called_safe(
    inst: Installation, tmp_path: Path, clock: TestClock
) -> None:
    """As a further copy whose verification after it was made is at the level *stored*."""
    with inst.catalog.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM verifications")
    verify(inst, named(inst, "b3"), "second", "stored")
    at = clock.forward(seconds=2)
    inst.catalog.verifications.add(make_verification(named(inst, "b3"), "restore", "passed", at=at, storage="primary"))
    flip(object_of(tmp_path, "b3", "primary"))
    verify(inst, named(inst, "b3"), "primary")
    found = check(inst, "corruption")
    assert (found.severity, "not read yet" in found.sentence) == ("failure", True)
    damage = tell_damage(inst, named(inst, "b3"))
    assert damage is not None
    assert (damage.is_lost, "safe" in " ".join(damage.sentences)) == (True, False)
    verify(inst, named(inst, "b3"), "second")
    assert check(inst, "corruption").sentence.startswith("The copy of b3 in primary is damaged; the backup is safe in")


def test_a_copy_that_was_deleted_since_is_named_nowhere_as_the_safe_one(inst: Installation, tmp_path: Path) -> None:
    """b3 is damaged in primary, and its copy in second, which was read, is deleted by a retention."""
    flip(object_of(tmp_path, "b3", "primary"))
    verify(inst, named(inst, "b3"), "primary")
    met = {"scope": "copy", "copy_state": "damaged"}
    at = inst.clock()
    inst.catalog.verifications.add(
        make_verification(named(inst, "b3"), "restore", "failed", at=at, storage="primary", detail=met)
    )
    assert check(inst, "corruption").severity == "warning"
    assert "safe in another storage" in load_statuses(inst)[0].reasons[0].text
    with inst.catalog.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE copies SET state = 'deleted' WHERE storage = 'second' AND backup_id = "
            "(SELECT id FROM backups WHERE name = 'b3')"
        )
    found = check(inst, "corruption")
    assert found.severity == "failure"
    assert "safe" not in found.sentence
    assert not [reason for reason in load_statuses(inst)[0].reasons if "safe in another" in reason.text]


def test_a_copy_that_was_away_is_found_again_by_itself(inst: Installation, tmp_path: Path, clock: TestClock) -> None:
    there = object_of(tmp_path, "b3", "primary")
    there.rename(tmp_path / "kept")
    verify(inst, named(inst, "b3"), "primary", "stored")
    assert check(inst, "copies").sentence == "A copy is missing, the newest of b3."
    clock.now += AGAIN_AFTER
    assert look_again(inst) == [], "it is gone still"
    (tmp_path / "kept").rename(there)
    assert look_again(inst) == [], "it was just looked for"
    clock.now += AGAIN_AFTER
    [run_id] = look_again(inst)
    assert look_again(inst) == [], "it is being looked at"
    run = inst.catalog.runs.get(run_id)
    assert run.reason.endswith("is there again.")
    assert run.reason.startswith("The copy in primary, missing since 2026-11-22")
    assert carry_out(inst, run_id).result["outcome"] == "passed"
    assert {copy.state for copy in named(inst, "b3").copies} == {"stored"}
    assert check(inst, "copies").severity == "ok"


def test_a_copy_that_is_gone_for_good_is_looked_for_ever_more_seldom(
    inst: Installation, tmp_path: Path, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    object_of(tmp_path, "b3", "primary").unlink()
    verify(inst, named(inst, "b3"), "primary", "stored")
    listed: list[str] = []
    real = LocalStorage.list

    def counting(self: LocalStorage, prefix: str = "") -> Iterator[StoredObject]:
        listed.append(prefix)
        return real(self, prefix)

    monkeypatch.setattr(LocalStorage, "list", counting)
    looks = []
    for minute in range(24 * 60):
        clock.now += timedelta(minutes=1)
        look_again(inst)
        if len(listed) > len(looks):
            looks.append(minute)
    assert len(looks) < 40, "a worker comes by 1,440 times"
    assert looks[-1] - looks[-2] == LONGEST_PAUSE / timedelta(minutes=1)
    assert set(listed) == {"la_factoria/b3."}, "the folder holds others, which nobody needs to list"


def test_a_copy_whose_verification_failed_is_asked_for_again_at_the_next_look(
    inst: Installation, tmp_path: Path, clock: TestClock
) -> None:
    there = object_of(tmp_path, "b3", "primary")
    there.rename(tmp_path / "kept")
    verify(inst, named(inst, "b3"), "primary", "stored")
    (tmp_path / "kept").rename(there)
    clock.now += AGAIN_AFTER
    [first] = look_again(inst)
    (tmp_path / "primary").rename(tmp_path / "away")
    assert carry_out(inst, first).state == "failed"
    (tmp_path / "away").rename(tmp_path / "primary")
    assert look_again(inst) == []
    clock.now += AGAIN_AFTER
    [second] = look_again(inst)
    assert second != first
    assert carry_out(inst, second).result["outcome"] == "passed"
    assert {copy.state for copy in named(inst, "b3").copies} == {"stored"}


def test_what_is_made_anew_where_the_copy_is_back_is_not_copied_once_more(inst: Installation, tmp_path: Path) -> None:
    there = object_of(tmp_path, "b3", "second")
    there.rename(tmp_path / "kept")
    verify(inst, named(inst, "b3"), "second", "stored")
    (tmp_path / "kept").rename(there)
    before = there.stat().st_mtime_ns
    made = commands.submit_copy(inst, named(inst, "b3").id, "second", actor="worker", queue=False)
    assert carry_out(inst, made).state == "finished"
    assert there.stat().st_mtime_ns == before
    assert {copy.state for copy in named(inst, "b3").copies} == {"stored"}


def test_an_empty_mount_point_loses_nothing_until_somebody_says_that_it_was_emptied(
    inst: Installation, tmp_path: Path
) -> None:
    shutil.move(tmp_path / "second", tmp_path / "disk")
    (tmp_path / "second").mkdir()
    run = verify(inst, named(inst, "b1"), "second", "stored")
    assert (run.state, "is empty" in run.error, "which is to hold 3 copies" in run.error) == ("failed", True, True)
    assert {copy.state for copy in named(inst, "b1").copies} == {"stored"}
    (tmp_path / "second" / MARK).touch()
    assert verify(inst, named(inst, "b1"), "second", "stored").state == "finished"
    assert {copy.storage: copy.state for copy in named(inst, "b1").copies}["second"] == "missing"


def test_a_storage_that_lost_many_copies_is_one_finding(inst: Installation, tmp_path: Path) -> None:
    for name in ("c1", "c2", "c3"):
        backup = store_backup(inst, name, at=AT)
        carry_out(inst, commands.submit_copy(inst, backup.id, "second", actor="ada", queue=False))
        verify(inst, backup, "primary")
    for found in (tmp_path / "second" / "la_factoria").iterdir():
        found.unlink()
    for name in ("b1", "b2", "b3", "c1", "c2", "c3"):
        verify(inst, named(inst, name), "second", "stored")
    contents = check(inst, "storage_contents", "second")
    assert contents.severity == "failure"
    assert contents.sentence == ("It looks empty, or away: not one of its 6 copies was there when it was looked for.")
    assert check(inst, "storage_contents", "primary").severity == "ok"
    evaluate(inst, by="test", force=True)
    told = {alert.check for alert in open_alerts(inst.catalog.engine)} & {"copies", "storage_contents", "corruption"}
    assert told == {"storage_contents"}, "and not once more for each database"
