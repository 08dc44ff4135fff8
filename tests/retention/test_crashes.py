"""kill -9 of a cleanup at each point: the next one ends what was begun, and no rebuild brings a deleted backup back."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services import commands
from services.backups.rebuild import rebuild
from services.janitor import sweep
from services.jobs.identity import DeathWatch
from services.jobs.recovery import recover_dead_runs
from tests.retention.lab import DAY, NOW, Lab
from tests.support.cleanup import POINTS

LIMIT = 60.0
OBJECT_IS_GONE = POINTS[POINTS.index("after the object") :]


def kill_at(lab: Lab, point: str, flag: Path, *, only: list[str] | None = None) -> str:
    """Start a cleanup in a process of its own, wait until it stands still at the point, and kill it."""
    run_id = commands.submit_cleanup(lab.inst, apply=True, only=only, actor="ada", queue=False)
    file = flag.with_suffix(".settings")
    file.write_bytes(pickle.dumps(lab.settings))
    environ = os.environ | {"LAB_SETTINGS": str(file), "LAB_NOW": lab.now.isoformat()}
    process = subprocess.Popen([sys.executable, "-m", "tests.support.cleanup", run_id, point, str(flag)], env=environ)
    try:
        deadline = time.monotonic() + LIMIT
        while not flag.exists():
            assert process.poll() is None, "it ended before it came to the point"
            assert time.monotonic() < deadline, f"waited {LIMIT} s for {point}"
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    return run_id


@pytest.mark.parametrize("point", POINTS)
def test_the_next_cleanup_ends_what_a_killed_one_began(lab: Lab, tmp_path: Path, point: str) -> None:
    lab.daily(10)
    pinned_once = lab.get("d9")  # so that the mark of a pin lies beside it
    for pinned in (True, False):
        commands.set_pin(lab.inst, pinned_once.id, pinned=pinned, actor="ada")
    from services.retention.pins import store_waiting_pins

    assert store_waiting_pins(lab.inst) == []
    run_id = kill_at(lab, point, tmp_path / "flag")

    half_done = lab.get("d9")
    has_object = "dump.zst.age" in lab.keys(name="d9")
    assert has_object is (point not in OBJECT_IS_GONE)
    assert not half_done.is_good or has_object, "nothing is ever listed as good while its object is gone"
    assert (half_done.state == "expired") is (point == "after the row")

    lost = lab.emptied()
    report = rebuild(lost.inst)
    found = {backup.name: backup.state for backup in lost.inst.catalog.backups.list()}
    assert {name: state for name, state in found.items() if name != "d9"} == {f"d{n}": "finished" for n in range(9)}, (
        "the store as it is without the catalogue"
    )
    untouched = point in ("before it is begun", "before the mark")
    manifest_left = "manifest.json" in lab.keys(name="d9")
    assert found.get("d9") == ("finished" if untouched else "deleting" if manifest_left else None)
    assert report.half_deleted == (["d9"] if found.get("d9") == "deleting" else [])
    assert report.incomplete == []

    if half_done.state == "deleting":  # nobody knows yet that its run is dead
        meanwhile = lab.clean(database="la_factoria", only=[half_done.id])
        assert [(item["outcome"], item["error"]) for item in meanwhile.result["items"]] == [("skipped", "active")]
    [recovered] = recover_dead_runs(lab.inst, DeathWatch(), enqueue=None)
    assert (recovered.id, recovered.state) == (run_id, "lost")
    assert lab.clean().result["failed"] == 0
    assert lab.states() == {f"d{n}": "finished" for n in range(8)} | {"d8": "expired", "d9": "expired"}
    assert lab.keys(name="d9") == lab.keys(name="d8") == []
    log = [row.outcome for row in lab.inst.catalog.deletions.list(backup_id=half_done.id)]
    assert sorted(log) == (["deleted", "interrupted"] if half_done.state == "deleting" else ["deleted"])

    sure = lab.emptied()
    rebuild(sure.inst)
    assert sorted(sure.states()) == [f"d{n}" for n in range(8)]


@pytest.mark.parametrize("point", ["before the object", "after the object", "after the manifest"])
def test_a_cleanup_after_the_loss_of_the_catalogue_ends_it_too(lab: Lab, tmp_path: Path, point: str) -> None:
    lab.daily(10)
    kill_at(lab, point, tmp_path / "flag", only=[lab.get("d9").id])
    new = lab.emptied()
    rebuild(new.inst)
    assert new.clean().result["failed"] == 0
    assert new.states().get("d9") in ("expired", None)
    for file in (tmp_path / "primary" / "la_factoria").glob("d9.*"):
        assert "mark-deletion" in file.name, "all that the catalogue cannot know of is one mark"
        os.utime(file, ((NOW - 2 * DAY).timestamp(),) * 2)
    assert sweep(new.inst, apply=True).failed == []
    assert new.keys(name="d9") == []


def test_a_backup_that_is_needed_again_is_revived_while_it_is_whole(lab: Lab, tmp_path: Path) -> None:
    lab.daily(10)
    half_done = lab.get("d9")
    kill_at(lab, "before the object", tmp_path / "flag", only=[half_done.id])
    recover_dead_runs(lab.inst, DeathWatch(), enqueue=None)
    assert lab.get("d9").state == "deleting"
    for n in range(8):
        lab.check(lab.get(f"d{n}"), "checksum", "failed")
    run = lab.clean()
    assert {item["name"]: item["outcome"] for item in run.result["items"]} == {"d9": "revived"}
    revived = lab.get("d9")
    assert revived.is_good
    assert "mark-deletion.json" not in lab.keys(name="d9")
    new = lab.emptied()
    rebuild(new.inst)
    assert new.get("d9").is_good
    [row] = lab.inst.catalog.deletions.list(backup_id=half_done.id)
    assert row.outcome == "interrupted"


def test_a_backup_of_which_one_copy_is_left_is_revived_with_that_one(lab: Lab, tmp_path: Path) -> None:
    lab.daily(9)
    half_done = lab.store("d9", NOW - 9 * DAY, storages=("primary", "second"))
    kill_at(lab, "after the object", tmp_path / "flag", only=[half_done.id])
    recover_dead_runs(lab.inst, DeathWatch(), enqueue=None)
    for n in range(9):
        lab.check(lab.get(f"d{n}"), "checksum", "failed")
    assert lab.clean().result["revived"] == 1
    revived = lab.get("d9")
    assert revived.is_good
    assert {copy.storage: copy.state for copy in revived.copies} == {"primary": "deleted", "second": "stored"}
    assert lab.keys(name="d9") == []
    rebuild(lab.inst)
    assert lab.get("d9") == revived
    new = lab.emptied()
    rebuild(new.inst)
    assert new.get("d9").is_good
    new.inst.close()


def test_a_backup_that_is_needed_again_but_gone_is_not_brought_back(lab: Lab, tmp_path: Path) -> None:
    lab.daily(10)
    kill_at(lab, "after the object", tmp_path / "flag", only=[lab.get("d9").id])
    recover_dead_runs(lab.inst, DeathWatch(), enqueue=None)
    for n in range(9):
        lab.check(lab.get(f"d{n}"), "checksum", "failed")
    assert lab.clean().result["failed"] == 0
    assert lab.get("d9").state == "expired"


def test_a_cleanup_of_the_queue_goes_on_by_itself(lab: Lab, tmp_path: Path) -> None:
    lab.daily(10)
    run_id = kill_at(lab, "after the object", tmp_path / "flag")
    with lab.inst.catalog.engine.begin() as connection:
        from services.catalog.schema import runs

        connection.execute(runs.update().where(runs.c.id == run_id).values(params={"queued": True, "apply": True}))
    queued: list[str] = []
    recover_dead_runs(lab.inst, DeathWatch(), enqueue=lambda run, _: queued.append(run.id))
    assert queued == [run_id]
    run = lab.carry_out(run_id)
    assert (run.state, run.attempt, run.result["failed"]) == ("finished", 2, 0)
    assert lab.states()["d9"] == "expired"
