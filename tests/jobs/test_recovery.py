"""After a crash: what is removed, what is let be, and how the run goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services import commands
from services.backups.manifest import to_document, write_manifest
from services.backups.request import BackupRequest
from services.catalog.model import Backup, Run
from services.installation import Installation
from services.jobs.execute import execute_run
from services.jobs.identity import DeathWatch, process_identity
from services.jobs.recovery import ABANDONED_AFTER, recover_dead_runs
from tests.catalog.rows import make_backup
from tests.support.installations import make_installation

GONE = "this-host-is-gone:1:1"


class EverybodyIsDead(DeathWatch):
    def is_dead(self, run: Run) -> bool:
        return True


def dead_backup(installation: Installation, *, queued: bool = True) -> str:
    """Return the id of a backup run whose process died while it was storing ``la_factoria/b1.dump.zst.age``."""
    run_id = commands.submit_backup(installation, BackupRequest("la_factoria"), actor="t", queue=queued)
    return died_storing(installation, run_id)


def dead_adoption(installation: Installation, path: Path) -> str:
    """Return the id of an adoption in the foreground whose process died at the same place."""
    path.touch()
    return died_storing(installation, commands.submit_adopt(installation, path, "la_factoria", name="b1", actor="t"))


def died_storing(installation: Installation, run_id: str) -> str:
    installation.catalog.runs.claim(run_id, worker=GONE, now=installation.clock())
    entry = {
        "kind": "object",
        "storage": "primary",
        "key": "la_factoria/b1.dump.zst.age",
        "manifest": "la_factoria/b1.manifest.json",
    }
    installation.catalog.runs.add_leftover(run_id, entry)
    installation.storage("primary").put(entry["key"], b"0123456789")
    return run_id


def recover(
    installation: Installation, enqueue: Callable[[Run, sa.Connection], None] | None = None, *, attended: bool = True
) -> list[Run]:
    return recover_dead_runs(installation, EverybodyIsDead(), enqueue=enqueue, attended=attended)


def write_its_manifest(installation: Installation, run_id: str) -> Backup:
    """Store the manifest of the object that the dead run has stored; what it says of its bytes is true."""
    sha256 = hashlib.sha256(b"0123456789").hexdigest()
    backup = make_backup("b1", run_id=run_id, sha256=sha256)
    write_manifest(installation.settings, installation.storage("primary"), to_document(backup, None))
    return backup


def log(installation: Installation, run_id: str) -> str:
    return "\n".join(line.message for line in installation.catalog.runs.log(run_id))


def stored(installation: Installation) -> list[str]:
    return [entry.key for entry in installation.storage("primary").list()]


@pytest.fixture
def installation(tmp_path: Path) -> Any:
    made = make_installation(tmp_path)
    yield made
    made.close()


def test_an_object_without_manifest_is_removed_and_the_run_is_queued_again(installation: Installation) -> None:
    run_id = dead_backup(installation)
    queued: list[tuple[str, int, str]] = []
    recover(installation, lambda run, _: queued.append((run.id, run.attempt, run.state)))
    assert queued == [(run_id, 1, "queued")]
    assert installation.catalog.runs.get(run_id).state == "queued"
    assert stored(installation) == []


def test_a_run_that_cannot_be_queued_again_stays_as_it_was(installation: Installation) -> None:
    run_id = dead_backup(installation)

    def fail(_run: Run, _connection: sa.Connection) -> None:
        raise RuntimeError("the queue is away")

    with pytest.raises(RuntimeError):
        recover(installation, fail)
    assert installation.catalog.runs.get(run_id).state == "running", "else nobody would ever work on it"


def test_without_a_queue_the_run_is_lost_and_says_so(installation: Installation) -> None:
    run_id = dead_backup(installation)
    recover(installation)
    run = installation.catalog.runs.get(run_id)
    assert run.state == "lost"
    assert GONE in run.error
    assert "removed" in run.hint


def test_a_complete_backup_is_recorded_and_its_run_goes_on_with_the_closing_verification(
    installation: Installation,
) -> None:
    run_id = dead_backup(installation)
    backup = write_its_manifest(installation, run_id)
    (run,) = recover(installation, lambda *_: None)
    assert (run.state, run.backup_id) == ("queued", backup.id)
    assert installation.catalog.backups.get(backup.id).trust == "signed"
    assert installation.catalog.runs.leftovers(run_id) == []
    done = execute_run(installation, run_id, worker=process_identity())
    assert (done.state, done.attempt, done.result["backup_id"]) == ("finished", 2, backup.id), done.error
    verified = installation.catalog.backups.get(backup.id)
    level = installation.settings.database("la_factoria").verify_after
    assert (verified.verification_level, verified.verification_passed) == (level, True)
    assert [b.id for b in installation.catalog.backups.list()] == [backup.id], "no second backup was made"


def test_a_complete_backup_that_is_damaged_fails_the_run_that_goes_on(installation: Installation) -> None:
    run_id = dead_backup(installation)
    backup = write_its_manifest(installation, run_id)
    installation.storage("primary").put(backup.copies[0].key, b"012345678?")
    recover(installation, lambda *_: None)
    assert execute_run(installation, run_id, worker=process_identity()).state == "failed"
    assert not installation.catalog.backups.get(backup.id).is_good


@pytest.mark.parametrize("kind", ["backup", "adoption"])
def test_what_was_stored_in_the_foreground_is_verified_by_the_worker_that_finds_it(
    installation: Installation, tmp_path: Path, kind: str
) -> None:
    if kind == "backup":
        run_id = dead_backup(installation, queued=False)
    else:
        run_id = dead_adoption(installation, tmp_path / "old.dump")
    backup = write_its_manifest(installation, run_id)
    queued: list[str] = []
    recover(installation, lambda run, _: queued.append(run.id))
    assert queued == [run_id]
    assert installation.catalog.runs.get(run_id).params["queued"], "else it would be ended as abandoned"
    assert execute_run(installation, run_id, worker=process_identity()).state == "finished"
    assert installation.catalog.backups.get(backup.id).verification_passed is True


def test_where_no_worker_is_what_was_stored_in_the_foreground_is_said_to_be_unverified(
    installation: Installation,
) -> None:
    run_id = dead_backup(installation, queued=False)
    backup = write_its_manifest(installation, run_id)
    recover(installation, lambda *_: pytest.fail("nobody would take it up"), attended=False)
    run = installation.catalog.runs.get(run_id)
    assert (run.state, run.backup_id) == ("lost", backup.id)
    for said in (run.hint, log(installation, run_id)):
        assert "stored and listed, but was not verified" in said
        assert "backups verify b1" in said
    assert installation.catalog.backups.get(backup.id).verification_passed is None


def test_a_run_of_a_worker_waits_for_the_next_one_and_says_so(installation: Installation) -> None:
    run_id = dead_backup(installation)
    write_its_manifest(installation, run_id)
    recover(installation, lambda *_: None, attended=False)
    assert installation.catalog.runs.get(run_id).state == "queued"
    assert "once a worker is running" in log(installation, run_id)


@pytest.mark.parametrize("whose", ["another run's", "unreadable", "unsigned"])
def test_what_a_manifest_that_is_not_ours_may_name_is_let_be(installation: Installation, whose: str) -> None:
    run_id = dead_backup(installation)
    storage = installation.storage("primary")
    backup = make_backup("b1", run_id="another" if whose == "another run's" else run_id)
    if whose == "another run's":
        write_manifest(installation.settings, storage, to_document(backup, None))
    elif whose == "unreadable":
        storage.put("la_factoria/b1.manifest.json", b'{"manifest_version": 99}')
    else:
        keyless = installation.settings.model_copy(update={"encryption_key": None})
        write_manifest(keyless, storage, to_document(backup, None))
    recover(installation)
    assert stored(installation) == ["la_factoria/b1.dump.zst.age", "la_factoria/b1.manifest.json"]
    assert installation.catalog.backups.list() == []
    assert "not removed" in log(installation, run_id)


def test_of_a_restore_that_died_it_is_said_that_its_database_may_be_there(installation: Installation) -> None:
    backup = make_backup("b1")
    with installation.catalog.engine.begin() as transaction:
        installation.catalog.backups.add(backup, transaction)
    run_id = commands.submit_restore(installation, backup.id, "shop_again", actor="t")
    installation.catalog.runs.claim(run_id, worker=GONE, now=installation.clock())
    (run,) = recover(installation)
    assert run.state == "lost"
    assert "shop_again may be there" in run.hint
    assert "Look for shop_again on the server before you start the restore again." in run.hint
    assert "was removed" not in run.hint


def test_a_run_that_died_too_often_is_lost(installation: Installation) -> None:
    run_id = dead_backup(installation)
    for _ in range(2):
        recover(installation, lambda *_: None)
        installation.catalog.runs.claim(run_id, worker=GONE, now=installation.clock())
    recover(installation, lambda *_: pytest.fail("started a fourth time"))
    assert installation.catalog.runs.get(run_id).state == "lost"


def test_a_cancelled_run_is_not_started_again(installation: Installation) -> None:
    run_id = dead_backup(installation)
    commands.request_cancel(installation, run_id, actor="bob")
    recover(installation, lambda *_: pytest.fail("started again"))
    assert installation.catalog.runs.get(run_id).state == "lost"


def test_a_folder_that_a_dead_process_of_this_machine_left_is_removed(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = dead_backup(installation)
    folder = tmp_path / "spool-of-the-run"
    folder.mkdir()
    installation.catalog.runs.add_leftover(run_id, {"kind": "folder", "path": str(folder)})
    monkeypatch.setattr("services.jobs.recovery.socket.gethostname", lambda: GONE.split(":", maxsplit=1)[0])
    recover(installation)
    assert not folder.exists()


def test_whoever_wanted_to_work_in_the_foreground_and_never_began_is_not_waited_for(tmp_path: Path) -> None:
    now = [make_backup().finished_at]
    installation = make_installation(tmp_path, clock=lambda: now[0])
    run_id = commands.submit_backup(installation, BackupRequest("la_factoria"), actor="t", queue=False)
    recover(installation)
    assert installation.catalog.runs.get(run_id).state == "queued"
    now[0] += ABANDONED_AFTER + timedelta(seconds=1)
    recover(installation)
    assert installation.catalog.runs.get(run_id).state == "failed"
    installation.close()
